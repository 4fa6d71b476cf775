//! The shared parts of all stand-ins: the log of the traffic, the injected faults, and the control endpoints
//! for both.

pub mod control;
pub mod fault;
pub mod link;
pub mod traffic;

use fault::Faults;
use link::Link;
use traffic::Traffic;

/// The log, the faults and the link of one server.
#[derive(Debug, Default)]
pub struct Watch {
    pub traffic: Traffic,
    pub faults: Faults,
    pub link: Link,
}
