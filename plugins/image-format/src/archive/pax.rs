//! PAX extended headers: `LENGTH KEY=VALUE\n` records that replace and extend an entry's header.

use std::ffi::CString;

use crate::error::{Error, Result};

use super::acl;

/// What extended headers said about the next entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) owner: Option<u32>,
    pub(crate) group: Option<u32>,
    /// Seconds and nanoseconds.
    pub(crate) modified: Option<(i64, u32)>,
    pub(crate) attributes: Vec<(CString, Vec<u8>)>,
    pub(crate) sparse: SparseRecords,
}

/// The `GNU.sparse.*` records; formats 0.0 and 0.1 carry the map here, 1.0 in the content.
#[derive(Clone, Debug, Default)]
pub(crate) struct SparseRecords {
    pub(crate) in_content: bool,
    pub(crate) real_size: Option<u64>,
    pub(crate) segments: Vec<(u64, u64)>,
    /// Format 0.0 gives offset and length as records of their own.
    pending_offset: Option<u64>,
}

impl Extended {
    pub(crate) fn add(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() && records[0] != 0 {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let length = usize::try_from(decimal(&records[..space])?).map_err(|_| damaged())?;
            let record = records.get(space + 1..length).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            return self.attribute(name, value.to_vec());
        }
        if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            return self.attribute(&percent_decoded(name), base64(value)?);
        }
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.owner = Some(id(value)?),
            b"gid" => self.group = Some(id(value)?),
            b"mtime" => self.modified = Some(time(value)?),
            b"SCHILY.acl.access" => self.acl(c"system.posix_acl_access", value)?,
            b"SCHILY.acl.default" => self.acl(c"system.posix_acl_default", value)?,
            b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"GNU.sparse.major" => self.sparse.in_content = value == b"1",
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.real_size = Some(decimal(value)?),
            b"GNU.sparse.map" => self.sparse.segments = map(value)?,
            b"GNU.sparse.offset" => self.sparse.pending_offset = Some(decimal(value)?),
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.pending_offset.take().ok_or_else(damaged)?;
                self.sparse.segments.push((offset, decimal(value)?));
            }
            _ => {} // comments, access times, names of owners: nothing we keep
        }
        Ok(())
    }

    fn attribute(&mut self, name: &[u8], value: Vec<u8>) -> Result<()> {
        const LONGEST_NAME: usize = 255; // linux/limits.h XATTR_NAME_MAX
        const LONGEST_VALUE: usize = 65536; // linux/limits.h XATTR_SIZE_MAX
        let name = CString::new(name).map_err(|_| damaged())?;
        if name.count_bytes() > LONGEST_NAME || value.len() > LONGEST_VALUE {
            return Err(Error::corrupt("the archive has an extended attribute larger than the kernel allows"));
        }
        self.replace_attribute(name, value)
    }

    fn replace_attribute(&mut self, name: CString, value: Vec<u8>) -> Result<()> {
        self.attributes.retain(|(other, _)| *other != name);
        if self.attributes.len() == MOST_ATTRIBUTES {
            return Err(Error::corrupt("the archive has a file with too many extended attributes"));
        }
        self.attributes.push((name, value));
        Ok(())
    }

    /// An ACL that names users by name cannot be applied: those names mean nothing here (LXD ignores all of them).
    fn acl(&mut self, name: &std::ffi::CStr, text: &[u8]) -> Result<()> {
        if let Some(value) = acl::binary(text) {
            return self.replace_attribute(name.to_owned(), value);
        }
        tracing::warn!(acl = %crate::error::printable(text), "an ACL without numeric ids is left out");
        Ok(())
    }
}

/// More than any file has, few enough to look through each time.
const MOST_ATTRIBUTES: usize = 1024;

fn map(value: &[u8]) -> Result<Vec<(u64, u64)>> {
    let numbers: Vec<u64> = value.split(|byte| *byte == b',').map(decimal).collect::<Result<_>>()?;
    let (pairs, []) = numbers.as_chunks::<2>() else { return Err(damaged()) };
    Ok(pairs.iter().map(|[offset, length]| (*offset, *length)).collect())
}

pub(crate) fn decimal(text: &[u8]) -> Result<u64> {
    if text.is_empty() {
        return Err(damaged());
    }
    text.iter()
        .try_fold(0u64, |value, digit| match digit {
            b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
        .filter(|value| i64::try_from(*value).is_ok())
        .ok_or_else(damaged)
}

fn id(text: &[u8]) -> Result<u32> {
    u32::try_from(decimal(text)?).ok().filter(|id| *id != u32::MAX).ok_or_else(damaged)
}

/// `1700000000.123456789`, possibly negative.
fn time(text: &[u8]) -> Result<(i64, u32)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    let seconds = decimal(whole)?.cast_signed();
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9).collect::<Vec<_>>();
    let nanoseconds = u32::try_from(decimal(&digits)?).map_err(|_| damaged())?;
    Ok(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| hex::decode(digits).ok());
        rest = match code {
            Some(code) => {
                result.extend(code);
                &after[2..]
            }
            None => {
                result.push(*byte);
                after
            }
        };
    }
    result
}

/// Base 64, with or without padding.
fn base64(text: &[u8]) -> Result<Vec<u8>> {
    let mut result = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().filter(|byte| !matches!(byte, b'=' | b'\n')) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(damaged()),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            result.push((bits >> count & 0xff) as u8);
        }
    }
    Ok(result)
}

fn damaged() -> Error {
    Error::corrupt("the archive is damaged: an extended header cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_replace_what_the_header_says() {
        let mut extended = Extended::default();
        extended.add(b"12 path=a/b\n21 mtime=1.500000000\n27 SCHILY.xattr.user.k=a\nb\n").unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(extended.modified, Some((1, 500_000_000)));
        assert_eq!(extended.attributes, [(c"user.k".to_owned(), b"a\nb".to_vec())]);
        assert_eq!(time(b"-1.25").unwrap(), (-2, 750_000_000));
        assert_eq!(base64(b"aGFsbG8").unwrap(), b"hallo");
        assert_eq!(percent_decoded(b"user.%41%zz"), b"user.A%zz");
    }

    #[test]
    fn attributes_without_end_are_refused() {
        let record = |number: usize| {
            let text = format!("SCHILY.xattr.user.{number:04}=x\n");
            format!("{} {text}", text.len() + 3).into_bytes()
        };
        let records: Vec<u8> = (0..MOST_ATTRIBUTES).flat_map(record).collect();
        let mut extended = Extended::default();
        extended.add(&records).unwrap();
        extended.add(&records).unwrap(); // the same again
        assert_eq!(extended.attributes.len(), MOST_ATTRIBUTES);
        assert!(extended.add(&record(MOST_ATTRIBUTES)).is_err());
    }

    #[test]
    fn lying_lengths_are_refused() {
        for bad in
            [&b"99 path=a\n"[..], b"0 path=a\n", b"2 \n", b"path=a\n", b"10 path=ab\n", b"18446744073709551616 a=b\n"]
        {
            assert!(Extended::default().add(bad).is_err(), "{bad:?}");
        }
    }
}
