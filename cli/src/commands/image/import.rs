//! Importing an image from files or a URL.

use crate::client::{Server, body_of, url};
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, HeaderValue, Method};
use hull_api::{ImageAlias, ImagesPost, ImagesPostSource, Operation, Response};
use serde_json::Value;
use std::path::Path;
use tokio::io::AsyncRead;

/// Import an image: a tarball, metadata and root file system, or a URL
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[arg(value_name = "TARBALL|URL [ROOTFS] [REMOTE:] KEY=VALUE", required = true)]
    words: Vec<String>,
    /// A name of the image
    #[arg(long)]
    alias: Vec<String>,
    /// Show it to everybody
    #[arg(long)]
    public: bool,
}

impl Import {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut files = Vec::new();
        let mut remote = None;
        let mut properties = Vec::new();
        for word in &self.words {
            if word.starts_with("https://") || word.starts_with("http://") {
                files.push(word.as_str());
            } else if word.contains('=') && !Path::new(word).exists() {
                properties.push(word.clone());
            } else if word.ends_with(':') {
                remote = Some(word.as_str());
            } else {
                files.push(word.as_str());
            }
        }
        let server = cx.server_only(remote)?;
        let properties = strict_pairs(&properties)?;
        let operation = match files.as_slice() {
            [address] if address.contains("://") => self.download(&server, address, properties).await?,
            [unified] => self.upload(&server, unified, None, &properties).await?,
            [metadata, rootfs] => self.upload(&server, metadata, Some(rootfs), &properties).await?,
            _ => bail!("Invalid number of arguments"),
        };
        let done = cx.wait(&server, operation, "Importing image").await?;
        let fingerprint = done.metadata.get("fingerprint").and_then(Value::as_str).unwrap_or_default();
        cx.printer.done(format!("Image imported with fingerprint: {fingerprint}"));
        super::naming::name_image(&server, &self.alias, fingerprint).await
    }

    async fn download(
        &self,
        server: &Server,
        address: &str,
        properties: Vec<(String, String)>,
    ) -> Result<Option<Operation>> {
        let source =
            ImagesPostSource { kind: "url".into(), mode: "pull".into(), url: address.into(), ..Default::default() };
        let request = ImagesPost {
            public: self.public,
            properties: properties.into_iter().collect(),
            source: Some(source),
            aliases: Vec::<ImageAlias>::new(),
            ..ImagesPost::default()
        };
        server.start(Method::POST, &url(&["images"]), &request, "").await
    }

    async fn upload(
        &self,
        server: &Server,
        first: &str,
        rootfs: Option<&str>,
        properties: &[(String, String)],
    ) -> Result<Option<Operation>> {
        let mut headers = HeaderMap::new();
        if self.public {
            headers.insert("X-LXD-public", HeaderValue::from_static("true"));
        }
        if !properties.is_empty() {
            let query: Vec<String> =
                properties.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value))).collect();
            headers.insert("X-LXD-properties", query.join("&").parse()?);
        }
        let body: Box<dyn AsyncRead + Send + Sync + Unpin> = match rootfs {
            None => {
                headers.insert("X-LXD-filename", file_name(first).parse()?);
                headers.insert("Content-Type", HeaderValue::from_static("application/octet-stream"));
                headers.insert(
                    "Content-Length",
                    std::fs::metadata(first).map_err(|error| opening(first, &error))?.len().into(),
                );
                Box::new(open(first).await?)
            }
            Some(rootfs) => {
                headers.insert("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}").parse()?);
                Box::new(form(first, rootfs).await?)
            }
        };
        let bytes = server.upload(&url(&["images"]), headers, body_of(body)).await?;
        let answer: Response<Operation> =
            serde_json::from_slice(&bytes).context("the server's answer to the upload is malformed")?;
        Ok(Some(answer.metadata))
    }
}

/// Metadata and root file system, in this order, as one form.
async fn form(metadata: &str, rootfs: &str) -> Result<impl AsyncRead + Send + Sync + Unpin + use<>> {
    use tokio::io::AsyncReadExt;
    let part = |name: &str, path: &str| {
        let disposition = format!("form-data; name=\"{name}\"; filename=\"{}\"", file_name(path));
        std::io::Cursor::new(format!(
            "--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
        ))
    };
    let gap = std::io::Cursor::new("\r\n");
    let end = std::io::Cursor::new(format!("\r\n--{BOUNDARY}--\r\n"));
    let first = part("metadata", metadata).chain(open(metadata).await?).chain(gap);
    let kind = if is_disk(rootfs) { "rootfs.img" } else { "rootfs" };
    Ok(first.chain(part(kind, rootfs)).chain(open(rootfs).await?).chain(end))
}

/// A virtual machine's disk: qcow2 begins with `QFI\xfb`.
fn is_disk(path: &str) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == b"QFI\xfb"
}

async fn open(path: &str) -> Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path).await.map_err(|error| opening(path, &error))?;
    if file.metadata().await.is_ok_and(|metadata| metadata.is_dir()) {
        bail!("cannot import the folder `{path}`: pack it first, as in `tar -C {path} -cf image.tar .`");
    }
    Ok(file)
}

fn opening(path: &str, error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("open {path}: no such file or directory"),
        _ => anyhow::anyhow!("open {path}: {error}"),
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

const BOUNDARY: &str = "hull-image-4b0d9c7e5f2a4e13";
