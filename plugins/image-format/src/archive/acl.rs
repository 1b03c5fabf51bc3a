//! POSIX ACLs: tar's text to the kernel's `system.posix_acl_*` value.

/// `user::rw-,user:1000:r--,mask::r--,other::---` (or with line feeds, or with the number as a fourth field) as the
/// kernel wants it; `None` if it is no ACL or names somebody without a number.
pub(crate) fn binary(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']) {
        let line = line.split('#').next()?.trim();
        if !line.is_empty() {
            entries.push(entry(line)?);
        }
    }
    entries.sort_unstable();
    let mut value = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in &entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    (!entries.is_empty()).then_some(value)
}

/// Tag, id and permissions, in the kernel's order of sorting.
fn entry(line: &str) -> Option<(u16, u32, u16)> {
    let mut fields = line.split(':');
    let (kind, who, permissions) = (fields.next()?, fields.next()?, fields.next()?);
    let id = match fields.next().unwrap_or(who) {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    let (tag, id) = match (kind, who) {
        ("user" | "u", "") => (0x01, NO_ID), // linux/posix_acl.h ACL_USER_OBJ
        ("user" | "u", _) => (0x02, id?),
        ("group" | "g", "") => (0x04, NO_ID),
        ("group" | "g", _) => (0x08, id?),
        ("mask" | "m", "") => (0x10, NO_ID),
        ("other" | "o", "") => (0x20, NO_ID),
        _ => return None,
    };
    let bits = permissions.chars().try_fold(0, |bits, letter| match letter {
        'r' => Some(bits | 4),
        'w' => Some(bits | 2),
        'x' => Some(bits | 1),
        '-' => Some(bits),
        _ => None,
    })?;
    Some((tag, id, bits))
}

const VERSION: u32 = 2; // linux/posix_acl_xattr.h POSIX_ACL_XATTR_VERSION
const NO_ID: u32 = u32::MAX; // linux/posix_acl.h ACL_UNDEFINED_ID

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_what_the_kernel_keeps() {
        let value = binary(b"user::rw-,group::r--,other::---,user:1000:r-x,mask::r-x").unwrap();
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(&value[4..12], [1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(&value[12..20], [2, 0, 5, 0, 0xe8, 3, 0, 0]);
        assert_eq!(binary(b"user::rw-\nuser:bob:r--:1000\n").map(|value| value.len()), Some(20));
        assert_eq!(binary(b"user:bob:r--"), None);
        assert_eq!(binary(b""), None);
    }
}
