//! What builds came to, in one table.

use std::fmt::Write;

use xtask_model::record::{BuildResult, Record};

use super::quantity::{bytes, percent, seconds};
use super::table::Table;

/// One row for each record.
pub fn table(records: &[Record]) -> Table {
    let mut table =
        Table::new(["service", "result", ">cached", ">hits", ">seconds", ">size", "image"]);
    for record in records {
        let steps = record.totals;
        let image = record.image.as_ref();
        let size = image.and_then(|image| image.size).map_or("-".to_owned(), bytes);
        let name = image.map_or("-", |image| image.digest.short());
        table.row([
            record.service.to_string(),
            record.result.to_string(),
            format!("{}/{}", steps.cached, steps.total),
            steps.hit_rate().map_or("-".to_owned(), percent),
            seconds(record.seconds),
            size,
            name.to_owned(),
        ]);
    }
    table
}

/// The page that a GitHub job shows: what was built, what each tier gave, and where time went.
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
