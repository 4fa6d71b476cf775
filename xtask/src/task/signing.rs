//! Signing what is published, by digest, with cosign. The key never passes through here: only where it
//! is does, which cosign reads itself.

use std::path::Path;

use anyhow::Result;

use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::outside::environment;
use crate::plan::tagging::{self, Signature};

use super::publish::{Image, Publisher};

/// cosign, found and with a key that can be named.
pub(super) struct Signer {
    /// Where the key is; keyless without one.
    key: Option<String>,
}

/// The media type under which cosign 3 keeps a signature begins so.
const BUNDLE: &[u8] = b"application/vnd.dev.sigstore.bundle";

impl Signer {
    /// Looks for what signing needs, before anything is published.
    pub fn new() -> Result<Self> {
        if which::which("cosign").is_err() {
            return Err(Failure::usage("`--sign` needs cosign, which is not on the PATH")
                .hint("https://docs.sigstore.dev/cosign/system_config/installation")
                .into());
        }
        let key = environment::text("COSIGN_KEY");
        // The text of a key would stand in the arguments of a process, for everyone to read.
        if key.as_ref().is_some_and(|key| !key.contains("://") && !Path::new(key).is_file()) {
            return Err(Failure::usage("`COSIGN_KEY` names no file and no key service")
                .hint("COSIGN_KEY=cosign.key, or COSIGN_KEY=env://NAME with the key itself in NAME")
                .into());
        }
        Ok(Self { key })
    }

    /// Signs an image, unless it is signed.
    pub fn sign(&self, by: &Publisher<'_>, image: Image<'_>) -> Result<()> {
        if is_signed(by, image)? {
            return Ok(());
        }
        let mut arguments = vec!["sign".to_owned(), "--yes".to_owned()];
        arguments.extend(self.key.iter().map(|key| format!("--key={key}")));
        arguments.push(image.repository.at(image.digest.clone()).to_string());
        by.runner.output(&Invocation::new("cosign", arguments)).map(drop)
    }
}

fn is_signed(by: &Publisher<'_>, image: Image<'_>) -> Result<bool> {
    let tag = match tagging::signature(image.digest, image.seen) {
        None => return Ok(false),
        Some(Signature::There) => return Ok(true),
        Some(Signature::MaybeListed(tag)) => tag,
    };
    let list = by.again(|| by.client.manifest(&image.repository.with_tag(tag.clone())))?;
    Ok(list.bytes.windows(BUNDLE.len()).any(|bytes| bytes == BUNDLE))
}
