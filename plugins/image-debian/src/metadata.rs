//! The metadata tarball of an image, as LXD defines it: `metadata.yaml` and the templates it names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};

use hull_plugin::ConfigMap;
use serde::Serialize;

use crate::release::Edition;

const HOSTNAME: &str = "{{ container.name }}\n";
const HOSTS: &str = "127.0.0.1\tlocalhost\n127.0.1.1\t{{ container.name }}\n::1\t\tlocalhost ip6-localhost ip6-loopback\n\
    ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n";

#[derive(Serialize)]
struct Metadata {
    architecture: &'static str,
    creation_date: i64,
    properties: ConfigMap,
    templates: BTreeMap<&'static str, Template>,
}

#[derive(Serialize)]
struct Template {
    when: [&'static str; 2],
    template: &'static str,
}

/// Writes the tarball for `edition`: the same bytes for the same edition.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(edition: &Edition, file: &File) -> io::Result<()> {
    let template = |name| Template { when: ["create", "copy"], template: name };
    let metadata = Metadata {
        architecture: edition.architecture.kernel,
        creation_date: edition.day.timestamp(),
        properties: edition.properties(),
        templates: BTreeMap::from([("/etc/hostname", template("hostname.tpl")), ("/etc/hosts", template("hosts.tpl"))]),
    };
    let yaml = serde_norway::to_string(&metadata).map_err(io::Error::other)?;
    file.set_len(0)?;
    let mut archive = tar::Builder::new(file);
    let time = u64::try_from(edition.day.timestamp()).unwrap_or_default();
    for (name, content) in
        [("metadata.yaml", yaml.as_str()), ("templates/hostname.tpl", HOSTNAME), ("templates/hosts.tpl", HOSTS)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(time);
        archive.append_data(&mut header, name, content.as_bytes())?;
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn names_every_template_it_holds() {
        let edition = Edition::find("bookworm", "", "2026-11-22T17:00:00Z".parse().unwrap()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        write(&edition, &file).unwrap();
        file.rewind().unwrap();
        let mut contents = BTreeMap::new();
        for entry in tar::Archive::new(file).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            contents.insert(name, text);
        }
        let yaml: serde_json::Value = serde_norway::from_str(&contents["metadata.yaml"]).unwrap();
        assert_eq!(yaml["architecture"], edition.architecture.kernel);
        assert_eq!(yaml["properties"]["release"], "bookworm");
        assert_eq!(yaml["properties"]["serial"], "20261122"); // a string, as properties must be
        for template in yaml["templates"].as_object().unwrap().values() {
            let name = template["template"].as_str().unwrap();
            assert!(contents.contains_key(&format!("templates/{name}")), "{name}");
        }
    }
}
