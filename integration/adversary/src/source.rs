//! An image source that needs no network: the real ones are as slow as their mirrors.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::ExitCode;

use hull_plugin::image::{ImageFacts, ImageQuery, ImageSinks, ImageSource, SourceImage};
use hull_plugin::{
    Code, ConfigMap, Context, Description, Driver, DriverError, FileFd, MemoryFd, OperationId, StreamFd,
};

use crate::PLACE;

/// What a request's `protocol` must be for this source.
pub const PROTOCOL: &str = "adversary";
/// The image that it has, beside the folder of orders.
pub const IMAGE: &str = "image.tar.gz";

/// Serves the source until hulld closes the channel.
pub fn serve() -> ExitCode {
    hull_plugin::serve_image(|_| Images)
}

#[derive(Clone)]
struct Images;

impl Driver for Images {
    fn describe(&self) -> Description {
        Description {
            driver: PROTOCOL.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: vec![format!("protocol:{PROTOCOL}")],
            ..Description::default()
        }
    }
}

impl ImageSource for Images {
    async fn resolve(self, _: Context, query: ImageQuery) -> Result<SourceImage, DriverError> {
        Ok(SourceImage {
            id: query.alias.clone(),
            aliases: vec![query.alias],
            architecture: query.architecture,
            instance_type: query.instance_type,
            properties: ConfigMap::new(),
            fingerprint: None,
            size: None,
        })
    }

    async fn list(self, _: Context, _: String) -> Result<MemoryFd, DriverError> {
        Err(unsupported("list"))
    }

    async fn fetch(
        self,
        _: Context,
        _: OperationId,
        _: ImageQuery,
        _: SourceImage,
        sinks: ImageSinks,
    ) -> Result<(), DriverError> {
        let failed = |error: std::io::Error| DriverError::system(&error, "cannot copy the image");
        let place = std::fs::read_to_string(PLACE).map_err(failed)?;
        let image = std::fs::read(std::path::Path::new(place.trim()).join(IMAGE)).map_err(failed)?;
        let mut sink = File::from(sinks.metadata.into_owned());
        sink.set_len(0).map_err(failed)?;
        sink.rewind().map_err(failed)?;
        sink.write_all(&image).map_err(failed)
    }

    async fn receive(
        self,
        _: Context,
        _: OperationId,
        _: StreamFd,
        _: String,
        _: u64,
        _: ImageSinks,
    ) -> Result<(), DriverError> {
        Err(unsupported("receive"))
    }

    async fn inspect(self, _: Context, _: FileFd, _: Option<FileFd>) -> Result<ImageFacts, DriverError> {
        Err(unsupported("inspect"))
    }
}

fn unsupported(what: &str) -> DriverError {
    DriverError::new(Code::Unsupported, format!("the campaign's image source does not {what}"))
}
