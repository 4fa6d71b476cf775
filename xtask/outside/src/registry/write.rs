//! Writes to a registry: a manifest under a tag, a small blob, a deletion; and whether it may write at all.
//! BuildKit pushes the layers.

use ureq::http::Method;

use super::access::Right;
use super::client::Client;
use super::digest;
use super::stored::StoredManifest;
use crate::http::{Call, expect, joined, of_status, same_authority};
use xtask_model::reference::{Digest, Reference};
use xtask_model::remote::{RemoteError, Result, if_found};

impl Client {
    /// Points the tag of `reference` to `manifest`, byte by byte as it is stored, or stores it under its digest
    /// alone. Everything that the manifest refers to must be in the repository already.
    pub fn put_manifest(&self, reference: &Reference, manifest: &StoredManifest) -> Result<Digest> {
        let name = match (&reference.tag, &reference.digest) {
            (Some(tag), _) => tag.as_str(),
            (None, Some(digest)) => digest.as_str(),
            (None, None) => {
                return Err(RemoteError::malformed(format!("no tag and no digest: `{reference}`")));
            }
        };
        digest::check(&manifest.digest, &manifest.bytes)?;
        let url = Self::url(reference, &format!("manifests/{name}"));
        let call = Call::new(Method::PUT, url)
            .header("content-type", &*manifest.media_type)
            .body(&*manifest.bytes);
        let answer = expect(self.send(&Self::target(reference, Right::Push), call)?, &[201])?;
        match answer.header("docker-content-digest") {
            Some(reported) if reported != manifest.digest.as_str() => Err(RemoteError::malformed(
                format!("stored {}, the registry reports {reported}", manifest.digest),
            )),
            _ => Ok(manifest.digest.clone()),
        }
    }

    /// Stores a small blob in one piece, unless it exists; returns its digest.
    pub fn put_blob(&self, reference: &Reference, bytes: &[u8]) -> Result<Digest> {
        let digest = digest::sha256(bytes)?;
        if if_found(self.head_blob(reference, &digest))?.is_some() {
            return Ok(digest);
        }
        let target = Self::target(reference, Right::Push);
        let url = Self::url(reference, "blobs/uploads/");
        let begun = self.send(&target, Call::new(Method::POST, &url).body(Vec::new()))?;
        let begun = expect(begun, &[202])?;
        let location = begun
            .header("location")
            .ok_or_else(|| RemoteError::malformed("an upload without a location"))?;
        let upload = joined(&url, location)?;
        let glue = if upload.contains('?') { '&' } else { '?' };
        let call = Call::new(Method::PUT, format!("{upload}{glue}digest={digest}"))
            .header("content-type", "application/octet-stream")
            .body(bytes);
        expect(self.send(&target, call)?, &[201]).map(|_| digest)
    }

    /// Deletes the manifest at the digest of `reference`, and with it every tag that points to it. A registry
    /// that does not allow it answers with 405.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<()> {
        let Some(digest) = &reference.digest else {
            return Err(RemoteError::malformed(format!(
                "`{reference}` has no digest to delete by"
            )));
        };
        let url = Self::url(reference, &format!("manifests/{digest}"));
        let call = Call::new(Method::DELETE, url);
        expect(self.send(&Self::target(reference, Right::Delete), call)?, &[202, 200]).map(drop)
    }

    /// Whether the credentials allow a push to the repository of `reference`; the error says why not. It starts
    /// an upload and cancels it.
    pub fn may_push(&self, reference: &Reference) -> Result<()> {
        let target = Self::target(reference, Right::Push);
        let url = Self::url(reference, "blobs/uploads/");
        let answer = self.send(&target, Call::new(Method::POST, &url).body(Vec::new()))?;
        if answer.status != 202 {
            return Err(of_status(&answer));
        }
        if let Some(location) = answer.header("location")
            && let Ok(upload) = joined(&url, location)
            && same_authority(&url, &upload)
        {
            // The registry deletes an abandoned upload after some time.
            let _ = self.send(&target, Call::new(Method::DELETE, upload));
        }
        Ok(())
    }
}
