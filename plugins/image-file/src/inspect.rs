//! Facts about an image file.

use std::fs::File;
use std::io::Write;

use hull_image_format::{Error, InstanceKind, Meter};
use hull_plugin::image::ImageFacts;
use hull_plugin::{Code, DriverError, FileFd, Fingerprint, MemoryFd};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

pub(crate) fn inspect(metadata: FileFd, rootfs: Option<FileFd>, meter: &Meter) -> Result<ImageFacts, DriverError> {
    let metadata = File::from(metadata.into_owned());
    let rootfs = rootfs.map(|fd| File::from(fd.into_owned()));
    let facts = hull_image_format::inspect(&metadata, rootfs.as_ref(), meter).map_err(|error| {
        let code = match &error {
            Error::Corrupt(_) => Code::Corrupt,
            Error::Unsupported(_) => Code::Unsupported,
            Error::Cancelled => Code::Cancelled,
            Error::System { .. } => Code::Internal,
        };
        DriverError::from_chain(code, &error)
    })?;
    let document = facts.metadata.document.to_string();
    let fingerprint = Fingerprint::new(facts.fingerprint);
    Ok(ImageFacts {
        fingerprint: fingerprint.map_err(|error| DriverError::internal(error.to_string()))?,
        size: facts.size,
        architecture: facts.metadata.architecture,
        creation_date: facts.metadata.creation_date,
        expiry_date: facts.metadata.expiry_date,
        instance_type: match facts.kind {
            InstanceKind::Container => "container".into(),
            InstanceKind::VirtualMachine => "virtual-machine".into(),
        },
        properties: facts.metadata.properties,
        metadata: sealed(document.as_bytes())
            .map_err(|error| DriverError::system(&error, "cannot hand over the image's metadata"))?,
        split: rootfs.is_some(),
    })
}

/// A document in memory that nobody can change any more, from its start.
fn sealed(content: &[u8]) -> std::io::Result<MemoryFd> {
    let fd = memfd_create("image-metadata", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    std::io::Seek::rewind(&mut file)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(MemoryFd::new(file))
}
