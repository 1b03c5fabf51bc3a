//! `plugin.toml`.

/// The text of a manifest.
pub fn manifests(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(manifest) = hulld::fuzzing::manifest(text) else { return };
    assert!(!manifest.name.contains(['/', '.', '\0']), "{:?} becomes a file name", manifest.name);
    let written = toml::to_string(&manifest).expect("what was read can be written");
    assert_eq!(hulld::fuzzing::manifest(&written).as_ref(), Some(&manifest), "{written}");
}
