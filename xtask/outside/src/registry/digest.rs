//! Digests of content, computed and compared.

use std::fmt::Write;

use ring::digest::{Algorithm, SHA256, SHA512};

use xtask_model::reference::Digest;
use xtask_model::remote::{RemoteError, Result};

/// The SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Result<Digest> {
    of(&SHA256, "sha256", bytes)
}

/// Fails unless `digest` is the digest of `bytes`.
pub fn check(digest: &Digest, bytes: &[u8]) -> Result<()> {
    let found = if digest.as_str().starts_with("sha512:") {
        of(&SHA512, "sha512", bytes)?
    } else {
        sha256(bytes)?
    };
    if found == *digest {
        return Ok(());
    }
    let length = bytes.len();
    let detail = format!("expected {digest}, got {length} bytes whose digest is {found}");
    Err(RemoteError::Corrupt { detail })
}

fn of(algorithm: &'static Algorithm, name: &str, bytes: &[u8]) -> Result<Digest> {
    let digits = hex(ring::digest::digest(algorithm, bytes).as_ref());
    Digest::new(format!("{name}:{digits}")).map_err(RemoteError::malformed)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
