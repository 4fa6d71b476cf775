//! How `verify` and `doctor` report their findings.

use anyhow::Result;

use crate::model::failure::Exit;
use crate::options::Format;
use crate::outside::terminal;
use crate::plan::finding::{Finding, exit};
use crate::report::{self, WIDTH};

/// Prints the findings, the worst first, and returns the exit code.
pub fn show(findings: &[Finding], format: Format, strict: bool) -> Result<Exit> {
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(findings)?),
        _ => report::verify::text(findings, terminal::width().unwrap_or(WIDTH)),
    };
    terminal::data(&terminal::printable(&text));
    Ok(exit(findings, strict))
}
