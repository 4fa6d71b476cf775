//! The results of builds as one table, and the summary of a GitHub job.

use std::fmt::Write;

use xtask_model::record::{BuildResult, Record};

use super::quantity::{bytes, percent, seconds};
use super::table::{Cell, Table};

/// One row for each record.
pub fn table(records: &[Record]) -> Table {
    let mut table =
        Table::new(["service", "result", ">cached", ">hits", ">seconds", ">size", "image"]);
    for record in records {
        let steps = record.totals;
        let image = record.image.as_ref();
        let size = image.and_then(|image| image.size).map_or("-".to_owned(), bytes);
        table.row([
            record.service.as_str().into(),
            record.result.to_string().into(),
            format!("{}/{}", steps.cached, steps.total).into(),
            steps.hit_rate().map_or("-".to_owned(), percent).into(),
            seconds(record.seconds).into(),
            size.into(),
            Cell::digest(image.map(|image| &image.digest)),
        ]);
    }
    table
}

/// The page that a GitHub job shows: results, cache tiers, and where the time went.
pub fn summary(records: &[Record]) -> String {
    let mut text = format!("## Builds\n\n{}", table(records).markdown());
    for record in records {
        super::publication::build(&mut text, record);
        if let (true, Some(error)) = (record.result != BuildResult::Built, &record.error) {
            let _ = writeln!(text, "\n> {}", super::one_line(error));
        }
    }
    text
}
