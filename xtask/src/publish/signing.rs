//! Signs published images by digest with cosign. cosign reads the key itself; only the key's place passes
//! through here.

use std::path::Path;

use anyhow::Result;

use crate::model::failure::Failure;
use crate::model::invocation::Invocation;
use crate::model::reference::{Digest, Reference, Tag};
use crate::outside::environment;
use crate::plan::publish::{StoredSignature, signature};

use super::tag_writer::TagWriter;

/// cosign, found and with a key that can be named.
pub struct Signer {
    /// Where the key is; `None` signs keyless.
    key: Option<String>,
}

/// The beginning of the media type of a cosign 3 signature.
const BUNDLE: &[u8] = b"application/vnd.dev.sigstore.bundle";

impl Signer {
    /// Checks what signing needs, before anything is published.
    pub fn new() -> Result<Self> {
        if which::which("cosign").is_err() {
            return Err(Failure::usage("`--sign` needs cosign, which is not on PATH")
                .hint("https://docs.sigstore.dev/cosign/system_config/installation")
                .into());
        }
        let key = environment::text("COSIGN_KEY");
        // A key given as text would appear in the arguments of a process, where everyone can read it.
        if key.as_ref().is_some_and(|key| !key.contains("://") && !Path::new(key).is_file()) {
            return Err(Failure::usage(
                "`COSIGN_KEY` is neither a file nor the address of a key service",
            )
            .hint("COSIGN_KEY=cosign.key, or COSIGN_KEY=env://NAME with the key in NAME")
            .into());
        }
        Ok(Self { key })
    }

    /// Signs an image, unless it is signed.
    /// `seen` are the tags of the repository.
    pub fn sign(
        &self,
        writer: &TagWriter<'_>,
        repository: &Reference,
        digest: &Digest,
        seen: &[Tag],
    ) -> Result<()> {
        if is_signed(writer, repository, digest, seen)? {
            return Ok(());
        }
        let mut arguments = vec!["sign".to_owned(), "--yes".to_owned()];
        arguments.extend(self.key.iter().map(|key| format!("--key={key}")));
        arguments.push(repository.at(digest.clone()).to_string());
        writer.runner.output(&Invocation::new("cosign", arguments)).map(drop)
    }
}

fn is_signed(
    writer: &TagWriter<'_>,
    repository: &Reference,
    digest: &Digest,
    seen: &[Tag],
) -> Result<bool> {
    let tag = match signature(digest, seen) {
        None => return Ok(false),
        Some(StoredSignature::There) => return Ok(true),
        Some(StoredSignature::MaybeListed(tag)) => tag,
    };
    let list = writer.again(|| writer.client.manifest(&repository.with_tag(tag.clone())))?;
    Ok(list.bytes.windows(BUNDLE.len()).any(|bytes| bytes == BUNDLE))
}
