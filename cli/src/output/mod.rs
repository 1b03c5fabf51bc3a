//! Everything the client says goes through here: lines, tables, YAML, progress.

mod format;
mod natural;
mod printer;
mod table;
mod units;
mod yaml;

pub(crate) use format::{Format, Listing};
pub(crate) use natural::sort_naturally;
pub(crate) use printer::Printer;
pub(crate) use table::table;
pub(crate) use units::{day, iec, long_date, si, upload_date};
pub(crate) use yaml::{parse as parse_yaml, to_yaml};
