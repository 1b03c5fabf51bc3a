//! The list of images.

use super::megabytes;
use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally, upload_date};
use crate::settings::Place;
use anyhow::{Result, bail};
use hull_api::Image;
use regex::Regex;

/// List the images
///
/// Filters are beginnings of fingerprints, parts of aliases, and `KEY=VALUE` of properties, `architecture=` or `type=`. Columns:
/// l alias, L all aliases, f fingerprint, F the whole of it, p public, d description, a architecture, t type, s size, u upload date.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "[REMOTE:] FILTER")]
    filters: Vec<String>,
    /// Which columns
    #[arg(short, long, default_value = "lfpdatsu")]
    columns: String,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(mut self, cx: &Context) -> Result<()> {
        let has_remote = self.filters.first().is_some_and(|word| word.contains(':') && !word.contains('='));
        let first = if has_remote { self.filters.remove(0) } else { String::new() };
        let origin = cx.settings.origin(&first)?;
        if let Place::Images { protocol, .. } = cx.settings.place(&origin.remote)? {
            bail!(
                "cannot list the images of `{}`: the {protocol} source makes them when they are asked for\nhint: name one, as in `hull launch {}:bookworm`",
                origin.remote,
                origin.remote
            );
        }
        let server = cx.server(&origin.remote)?;
        if !origin.name.is_empty() {
            self.filters.push(origin.name);
        }
        let titles = self.columns.chars().filter(|letter| *letter != ',').map(title).collect::<Result<Vec<_>>>()?;
        let mut images: Vec<Image> = server.get(&(url(&["images"]) + "?recursion=1")).await?;
        images.retain(|image| self.filters.iter().all(|filter| matches(image, filter)));
        let letters: Vec<char> = self.columns.chars().filter(|letter| *letter != ',').collect();
        let mut rows: Vec<Vec<String>> =
            images.iter().map(|image| letters.iter().map(|letter| cell(*letter, image)).collect()).collect();
        sort_naturally(&mut rows);
        Listing { header: &header(&titles), rows: &rows, values: &images }.print(&cx.printer, self.format)
    }
}

fn matches(image: &Image, filter: &str) -> bool {
    let Some((key, value)) = filter.split_once('=') else {
        return image.fingerprint.starts_with(filter) || image.aliases.iter().any(|alias| alias.name.contains(filter));
    };
    let actual = match key {
        "architecture" => Some(&image.architecture),
        "type" => Some(&image.kind),
        _ => image.properties.iter().find(|(name, _)| name.starts_with(key)).map(|(_, value)| value),
    };
    let expression = Regex::new(&format!("(?i)^(?:{value})$"));
    actual.is_some_and(|actual| actual == value || expression.is_ok_and(|expression| expression.is_match(actual)))
}

fn title(letter: char) -> Result<&'static str> {
    Ok(match letter {
        'l' => "ALIAS",
        'L' => "ALIASES",
        'f' | 'F' => "FINGERPRINT",
        'p' => "PUBLIC",
        'd' => "DESCRIPTION",
        'a' => "ARCHITECTURE",
        't' => "TYPE",
        's' => "SIZE",
        'u' => "UPLOAD DATE",
        other => bail!("Unknown column shorthand char '{other}' in '{other}'"),
    })
}

fn cell(letter: char, image: &Image) -> String {
    match letter {
        'l' => short_alias(image),
        'L' => image.aliases.iter().map(|alias| alias.name.as_str()).collect::<Vec<_>>().join("\n"),
        'f' => image.fingerprint.chars().take(12).collect(),
        'F' => image.fingerprint.clone(),
        'p' => if image.public { "yes" } else { "no" }.to_owned(),
        'd' => image.properties.get("description").cloned().unwrap_or_default(),
        'a' => image.architecture.clone(),
        't' => {
            if image.kind.is_empty() {
                "CONTAINER".to_owned()
            } else {
                image.kind.to_uppercase()
            }
        }
        's' => megabytes(image.size),
        _ => upload_date(image.uploaded_at),
    }
}

/// The shortest alias, and how many more there are.
fn short_alias(image: &Image) -> String {
    let shortest = image.aliases.iter().map(|alias| alias.name.as_str()).min_by_key(|name| name.len());
    match (shortest, image.aliases.len()) {
        (None, _) => String::new(),
        (Some(name), 1) => name.to_owned(),
        (Some(name), count) => format!("{name} ({} more)", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_cells() {
        let alias = |name: &str| hull_api::ImageAlias { name: name.into(), ..Default::default() };
        let image = Image {
            fingerprint: "95e8f14b971546556dee".into(),
            aliases: vec![alias("bookworm/amd64"), alias("bookworm")],
            properties: [("os".to_owned(), "Debian".to_owned())].into(),
            size: 1_036_684,
            ..Image::default()
        };
        assert!(
            matches(&image, "95e8")
                && matches(&image, "amd")
                && matches(&image, "os=debian")
                && !matches(&image, "os=x")
        );
        assert_eq!(cell('l', &image), "bookworm (1 more)");
        assert_eq!(cell('s', &image), "0.99MB");
    }
}
