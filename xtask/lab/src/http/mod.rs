//! HTTP/1.1 as the stand-ins need it: blocking, a thread for each connection, every byte counted, and faults
//! down to the socket.
//!
//! - [`head`] parses and writes request and response heads.
//! - [`target`] splits a request target into its parts.
//! - [`body`] reads the three framings of a message body.
//! - [`answer`] is a whole response as a value.
//! - [`exchange`] is one request and its response on a connection.
//! - [`server`] accepts connections and applies faults.
//!
//! Nothing here knows about registries, caches or GitHub.

pub mod answer;
pub mod body;
pub mod exchange;
pub mod head;
pub mod server;
pub mod target;
