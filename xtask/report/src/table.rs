//! A table for a terminal, a pipe or Markdown. A terminal that is too narrow folds the cells; no cell is
//! ever cut.

use xtask_model::reference::Digest;

use super::columns::{folded, longest_piece, width};

/// Spaces between two columns.
const GAP: &str = "  ";

/// A column is at least as wide as its longest word, up to this many columns.
const WORD: usize = 16;

/// Rows of text below a header. A column is aligned to the right when its header begins with `>`.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone)]
struct Column {
    title: String,
    right: bool,
}

/// What a cell says, and a short form for a terminal that is too narrow for the table.
#[derive(Debug, Clone)]
pub struct Cell {
    whole: String,
    short: Option<String>,
}

impl Cell {
    /// A digest, by its short name on a narrow terminal; `-` for none.
    pub fn digest(digest: Option<&Digest>) -> Self {
        let short = digest.map(|digest| digest.short().to_owned());
        Self { whole: digest.map_or("-".to_owned(), ToString::to_string), short }
    }

    fn short(&self) -> &str {
        self.short.as_ref().unwrap_or(&self.whole)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { whole: text.into(), short: None }
    }
}

impl Table {
    pub fn new<const N: usize>(titles: [&str; N]) -> Self {
        let column = |title: &str| Column {
            title: title.trim_start_matches('>').to_owned(),
            right: title.starts_with('>'),
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [impl Into<Cell>; N]) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The header and the rows in lines of at most `most` columns. Where even folded cells do not fit, each
    /// cell gets a line of its own.
    pub fn text(&self, most: usize) -> String {
        let whole = self.cells(|cell| &cell.whole);
        let widths = widest(&whole, width);
        let right: Vec<bool> = self.columns.iter().map(|column| column.right).collect();
        if total(&widths) <= most {
            return aligned(&whole, &widths, &right);
        }
        let short = self.cells(Cell::short);
        let words = widest(&short, |cell| longest_piece(cell).min(WORD));
        match fitted(&widest(&short, width), &words, most) {
            Some(widths) => aligned(&short, &widths, &right),
            None => self.stacked(&short, most),
        }
    }

    /// The table in GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let escaped =
            |cell: &str| cell.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ");
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|column| escaped(&column.title)).collect());
        let rule = |column: &Column| if column.right { "---:" } else { "---" }.to_owned();
        text.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(|cell| escaped(&cell.whole)).collect()));
        }
        text
    }

    /// The titles, and the cells of each row in one of their forms.
    fn cells<'t>(&'t self, form: impl Fn(&'t Cell) -> &'t str) -> Vec<Vec<&'t str>> {
        let titles = self.columns.iter().map(|column| column.title.as_str()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(&form).collect());
        std::iter::once(titles).chain(rows).collect()
    }

    /// Each cell on a line after its title, and an empty line between two rows.
    fn stacked(&self, rows: &[Vec<&str>], most: usize) -> String {
        let titles = self.columns.iter().map(|column| width(&column.title)).max().unwrap_or(0);
        let room = most.saturating_sub(titles + GAP.len());
        let block = |row: &Vec<&str>| {
            let pairs = self.columns.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
            let pairs: Vec<_> =
                pairs.map(|(column, cell)| vec![column.title.as_str(), cell]).collect();
            aligned(&pairs, &[titles, room], &[false, false])
        };
        rows.iter().skip(1).map(block).collect::<Vec<_>>().join("\n")
    }
}

/// Rows with each cell folded to the width of its column.
fn aligned(rows: &[Vec<&str>], widths: &[usize], right: &[bool]) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> =
            row.iter().zip(widths).map(|(cell, most)| folded(cell, *most)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for position in 0..height {
            let parts = cells.iter().map(|lines| lines.get(position).map_or("", String::as_str));
            text.push_str(line(parts, widths, right).trim_end());
            text.push('\n');
        }
    }
    text
}

fn line<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize], right: &[bool]) -> String {
    let mut line = String::new();
    for ((cell, columns), right) in cells.zip(widths).zip(right) {
        let padding = " ".repeat(columns.saturating_sub(width(cell)));
        line.push_str(if line.is_empty() { "" } else { GAP });
        line.push_str(if *right { &padding } else { cell });
        line.push_str(if *right { cell } else { &padding });
    }
    line
}

/// The widest cell of each column.
fn widest(rows: &[Vec<&str>], measure: impl Fn(&str) -> usize) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let cells = |column| rows.iter().filter_map(move |row| row.get(column));
    (0..columns).map(|column| cells(column).map(|cell| measure(cell)).max().unwrap_or(0)).collect()
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
}

/// Widths that fit into `most`: the widest columns give way first, but none below its longest word.
fn fitted(widths: &[usize], words: &[usize], most: usize) -> Option<Vec<usize>> {
    let at_most = |limit: usize| -> Vec<usize> {
        widths.iter().zip(words).map(|(width, word)| *width.min(&limit.max(*word))).collect()
    };
    (0..=most).rev().map(at_most).find(|widths| total(widths) <= most)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn table() -> Table {
        let digest = Digest::new(format!("sha256:{}", "0123456789abcdef".repeat(4))).unwrap();
        let mut table = Table::new(["service", ">size", "digest", "tags", "reason"]);
        table.row([
            "runner-coordinator".into(),
            "12.3 MB".into(),
            Cell::digest(Some(&digest)),
            format!("dev dev-{}", "0123456789".repeat(4)).into(),
            Cell::from("a step was executed, so the cache is exported"),
        ]);
        table.row(["イメージ x\u{301}", "1 B", "-", "", "a|b"]);
        table
    }

    fn check(table: &Table, most: usize, expected: &Expect) {
        let text = table.text(most);
        assert!(text.lines().all(|line| width(line) <= most), "{text}");
        expected.assert_eq(&text);
    }

    #[test]
    fn a_pipe_gets_every_cell_whole() {
        check(
            &table(),
            usize::MAX,
            &expect![[r"
            service                size  digest                                                                   tags                                              reason
            runner-coordinator  12.3 MB  sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  dev dev-0123456789012345678901234567890123456789  a step was executed, so the cache is exported
            イメージ x́              1 B  -                                                                                                                          a|b
        "]],
        );
    }

    #[test]
    fn a_terminal_of_100_columns_folds_cells() {
        check(
            &table(),
            100,
            &expect![[r"
            service                size  digest        tags                         reason
            runner-coordinator  12.3 MB  0123456789ab  dev dev-                     a step was executed, so the
                                                       012345678901234567890123456  cache is exported
                                                       7890123456789
            イメージ x́              1 B  -                                          a|b
        "]],
        );
    }

    #[test]
    fn a_terminal_of_80_columns_folds_cells() {
        check(
            &table(),
            80,
            &expect![[r"
            service               size  digest        tags               reason
            runner-            12.3 MB  0123456789ab  dev dev-           a step was
            coordinator                               01234567890123456  executed, so the
                                                      78901234567890123  cache is exported
                                                      456789
            イメージ x́             1 B  -                                a|b
        "]],
        );
    }

    #[test]
    fn a_terminal_of_40_columns_stacks_cells() {
        check(
            &table(),
            40,
            &expect![[r"
            service  runner-coordinator
            size     12.3 MB
            digest   0123456789ab
            tags     dev dev-
                     0123456789012345678901234567890
                     123456789
            reason   a step was executed, so the
                     cache is exported

            service  イメージ x́
            size     1 B
            digest   -
            reason   a|b
        "]],
        );
    }

    #[test]
    fn a_folded_table_keeps_right_aligned_columns() {
        let mut table = Table::new(["step", ">seconds"]);
        table.row(["RUN apt-get install build-essential", "1.25"]);
        table.row(["COPY . /app", "100.5"]);
        check(
            &table,
            30,
            &expect![[r"
            step                   seconds
            RUN apt-get install       1.25
            build-essential
            COPY . /app              100.5
        "]],
        );
    }

    #[test]
    fn a_cell_longer_than_the_terminal_is_folded() {
        let mut table = Table::new(["service", "finding"]);
        table.row(["web".to_owned(), "the layer is gone, and two tags need it".to_owned()]);
        table.row(["b".to_owned(), "x".repeat(45)]);
        check(
            &table,
            40,
            &expect![[r"
            service  finding
            web      the layer is gone, and two tags
                     need it
            b        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                     xxxxxxxxxxxxxx
        "]],
        );
    }

    #[test]
    fn markdown_escapes_what_would_end_a_cell() {
        let mut table = Table::new(["service", ">bytes"]);
        table.row(["a|b\\c\nd", "12 B"]);
        expect![[r"
            | service | bytes |
            | --- | ---: |
            | a\|b\\c d | 12 B |
        "]]
        .assert_eq(&table.markdown());
    }
}
