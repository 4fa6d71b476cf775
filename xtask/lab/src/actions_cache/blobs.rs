//! The bytes of entries, behind signed URLs as in Azure's Blob service: uploaded whole or in blocks that a
//! list joins, downloaded whole or by range. Every answer has `x-ms-request-id`, without which BuildKit's
//! client panics.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};

use super::entries::Entry;
use crate::http::answer::{Answer, Content};
use crate::http::head::{Headers, RequestHead};
use crate::http::target;
use crate::state;

/// The store of bytes.
#[derive(Debug)]
pub struct Blobs {
    /// Whole blobs, by the id of their entry.
    whole: PathBuf,
    /// For each entry, a folder of blocks that wait for their list.
    blocks: PathBuf,
    requests: AtomicU64,
}

impl Blobs {
    pub fn open(directory: &Path) -> Result<Self> {
        let (whole, blocks) = (directory.join("blobs"), directory.join("blocks"));
        for path in [&whole, &blocks] {
            fs::create_dir_all(path)
                .with_context(|| format!("could not create `{}`", path.display()))?;
        }
        Ok(Self { whole, blocks, requests: AtomicU64::new(0) })
    }

    /// The size in bytes of the upload; none without one, or while no list has joined its blocks.
    pub fn size(&self, entry: &Entry) -> Option<u64> {
        fs::metadata(self.path(entry)).ok().map(|metadata| metadata.len())
    }

    pub fn remove(&self, entry: &Entry) {
        // Remaining bytes without an entry can never be read.
        let _ = fs::remove_file(self.path(entry));
        let _ = fs::remove_dir_all(self.blocks.join(entry.id.to_string()));
    }

    /// Answers a request to a signed URL. Reading and writing have different signatures.
    pub fn answer(
        &self,
        request: &RequestHead,
        entry: Option<&Entry>,
        body: &[u8],
    ) -> io::Result<Answer> {
        let signature = target::parameter(&request.target, "sig").unwrap_or_default();
        let reading = matches!(request.method.as_str(), "GET" | "HEAD");
        let signed = entry.filter(|entry| {
            signature
                == if reading { &entry.download_signature } else { &entry.upload_signature }
                    .as_str()
        });
        let answer = match (signed, request.method.as_str()) {
            (None, _) => self.error(403, "AuthenticationFailed"),
            (Some(entry), "GET" | "HEAD") => self.download(entry, &request.headers)?,
            (Some(entry), "PUT") if entry.finalized.is_some() => {
                self.error(409, "BlobImmutableDueToPolicy")
            }
            (Some(entry), "PUT") => self.upload(entry, &request.target, body)?,
            _ => self.error(405, "UnsupportedHttpVerb"),
        };
        Ok(self.stamped(answer))
    }

    /// An error in Azure's form.
    pub fn error(&self, status: u16, code: &str) -> Answer {
        let xml =
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code></Error>");
        let answer = Answer::empty(status)
            .with("Content-Type", "application/xml")
            .with("x-ms-error-code", code);
        self.stamped(answer.holding(Content::Bytes(xml.into_bytes())))
    }

    fn stamped(&self, answer: Answer) -> Answer {
        let number = self.requests.fetch_add(1, Relaxed);
        answer.with("x-ms-request-id", format!("lab-{number}")).with("x-ms-version", "2025-01-05")
    }

    fn upload(&self, entry: &Entry, request_target: &str, body: &[u8]) -> io::Result<Answer> {
        match target::parameter(request_target, "comp").as_deref() {
            None => state::write(&self.path(entry), body)?,
            Some("block") => {
                let Some(block) =
                    target::parameter(request_target, "blockid").filter(|block| !block.is_empty())
                else {
                    return Ok(self.error(400, "InvalidQueryParameterValue"));
                };
                let path = self.block(entry, &block);
                path.parent().map(fs::create_dir_all).transpose()?;
                state::write(&path, body)?;
            }
            Some("blocklist") => {
                if !self.join(entry, &listed_blocks(&String::from_utf8_lossy(body)))? {
                    return Ok(self.error(400, "InvalidBlockList"));
                }
            }
            Some(_) => return Ok(self.error(400, "InvalidQueryParameterValue")),
        }
        Ok(Answer::empty(201).with("ETag", format!("\"{}\"", entry.id)))
    }

    /// Joins blocks into the blob; false if a block is missing.
    fn join(&self, entry: &Entry, blocks: &[String]) -> io::Result<bool> {
        let whole = self.path(entry);
        let part = whole.with_extension("part");
        let mut joined = File::create(&part)?;
        for block in blocks {
            let Ok(mut file) = File::open(self.block(entry, block)) else { return Ok(false) };
            io::copy(&mut file, &mut joined)?;
        }
        fs::rename(part, whole)?;
        fs::remove_dir_all(self.blocks.join(entry.id.to_string())).or_else(|error| {
            if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
        })?;
        Ok(true)
    }

    fn download(&self, entry: &Entry, headers: &Headers) -> io::Result<Answer> {
        let Ok(mut file) = File::open(self.path(entry)) else {
            return Ok(self.error(404, "BlobNotFound"));
        };
        let size = file.metadata()?.len();
        let tagged = |status| {
            Answer::empty(status)
                .with("Content-Type", "application/octet-stream")
                .with("Accept-Ranges", "bytes")
                .with("ETag", format!("\"{}\"", entry.id))
        };
        // Azure prefers its own header to the standard one.
        let Some(asked) = headers.get("x-ms-range").or_else(|| headers.get("range")) else {
            return Ok(tagged(200).holding(Content::File { file, length: size }));
        };
        let Some((first, last)) = range(asked, size) else {
            return Ok(self
                .error(416, "InvalidRange")
                .with("Content-Range", format!("bytes */{size}")));
        };
        file.seek(SeekFrom::Start(first))?;
        Ok(tagged(206)
            .with("Content-Range", format!("bytes {first}-{last}/{size}"))
            .holding(Content::File { file, length: last - first + 1 }))
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.whole.join(entry.id.to_string())
    }

    /// The client chooses block ids; their hexadecimal digits are safe as file names.
    fn block(&self, entry: &Entry, block: &str) -> PathBuf {
        self.blocks.join(entry.id.to_string()).join(state::hexadecimal(block.as_bytes()))
    }
}

/// The first and last byte of `bytes=N-` or `bytes=N-M`; none if it cannot be satisfied.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() {
        size.checked_sub(1)?
    } else {
        last.parse::<u64>().ok()?.min(size.checked_sub(1)?)
    };
    (first <= last).then_some((first, last))
}

/// The ids in a block list, `<BlockList><Latest>id</Latest>…</BlockList>`, in order. Ids are base64, so they
/// contain no XML escapes.
fn listed_blocks(xml: &str) -> Vec<String> {
    let elements = xml.split('<').filter_map(|element| element.split_once('>'));
    elements
        .filter(|(name, _)| matches!(*name, "Latest" | "Uncommitted" | "Committed"))
        .map(|(_, id)| id.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_at_the_size() {
        let ranges = [
            "bytes=0-",
            "bytes=4-",
            "bytes=2-99",
            "bytes=3-3",
            "bytes=5-",
            "bytes=3-2",
            "bytes=-2",
            "x",
        ];
        let expected =
            [Some((0, 4)), Some((4, 4)), Some((2, 4)), Some((3, 3)), None, None, None, None];
        assert_eq!(ranges.map(|text| range(text, 5)), expected);
        assert_eq!(range("bytes=0-", 0), None);
    }

    #[test]
    fn a_block_list_keeps_its_order() {
        let xml = "<?xml version=\"1.0\"?>\n<BlockList><Latest>Yg==</Latest><Latest>YQ==</Latest></BlockList>";
        assert_eq!(listed_blocks(xml), ["Yg==", "YQ=="]);
        assert!(listed_blocks("<BlockList/>").is_empty());
    }
}
