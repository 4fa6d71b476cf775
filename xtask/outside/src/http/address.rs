//! Addresses: which host they name, and where a `Location` header points.

use std::net::IpAddr;

use ureq::http::Uri;

use xtask_model::remote::{RemoteError, Result};

/// Whether a host (with or without a port) is this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn is_loopback(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        uri.authority().is_some_and(|authority| is_loopback_host(authority.as_str()))
    })
}

/// Whether two addresses have the same scheme, host and port.
pub(crate) fn same_authority(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let uri = url.parse::<Uri>().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
    };
    origin(one).is_some_and(|one| origin(other) == Some(one))
}

/// `location` as seen from `base`: absolute, from the root, or beside it.
pub(crate) fn joined(base: &str, location: &str) -> Result<String> {
    let wrong = || RemoteError::malformed("a location that is no address");
    let uri = base.parse::<Uri>().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let next = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    next.parse::<Uri>().map_err(|_| wrong()).map(|_| next)
}
