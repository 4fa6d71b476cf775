//! A table for a terminal or for Markdown. Columns are as wide as their widest cell; where that is
//! too wide, the last column gives way.

use super::shortened;

/// Rows of text below a header. A column is aligned to the right when its header begins with `>`.
#[derive(Debug, Clone, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Column {
    title: String,
    right: bool,
}

impl Table {
    pub fn new<const N: usize>(titles: [&str; N]) -> Self {
        let column = |title: &str| Column {
            title: title.trim_start_matches('>').to_owned(),
            right: title.starts_with('>'),
        };
        Self { columns: titles.into_iter().map(column).collect(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Lines of at most `width` characters, the header first.
    pub fn text(&self, width: usize) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let widths = self.widths();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                let padding = " ".repeat(width - cell.chars().count().min(*width));
                let (before, after) =
                    if column.right { (padding, String::new()) } else { (String::new(), padding) };
                line.push_str(&before);
                line.push_str(cell);
                line.push_str(&after);
            }
            text.push_str(&shortened(line.trim_end(), width));
            text.push('\n');
        }
        text
    }

    /// The same with the last column in as many lines as it takes, so that nothing is left out.
    pub fn wrapped(&self, width: usize) -> String {
        let widths = self.widths();
        let before: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
        let mut narrow = Self { columns: self.columns.clone(), rows: Vec::new() };
        for row in &self.rows {
            let Some((last, first)) = row.split_last() else { continue };
            let lines = folded(last, width.saturating_sub(before).max(NARROWEST));
            for (position, line) in lines.into_iter().enumerate() {
                let blank = first.iter().map(|_| String::new()).collect();
                let mut cells = if position == 0 { first.to_vec() } else { blank };
                cells.push(line);
                narrow.rows.push(cells);
            }
        }
        narrow.text(width.max(before + NARROWEST))
    }

    /// The table in GitHub's Markdown.
    pub fn markdown(&self) -> String {
        let escaped =
            |cell: &String| cell.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ");
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|column| escaped(&column.title)).collect());
        let rule = |column: &Column| if column.right { "---:" } else { "---" }.to_owned();
        text.push_str(&line(self.columns.iter().map(rule).collect()));
        for row in &self.rows {
            text.push_str(&line(row.iter().map(escaped).collect()));
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let cells = |position: usize| self.rows.iter().filter_map(move |row| row.get(position));
        let widest = |position| cells(position).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(position, column)| widest(position).max(column.title.chars().count()))
            .collect()
    }
}

/// The least width of a column that is folded.
const NARROWEST: usize = 20;

/// The words of a text in lines of at most `width` characters; a longer word is broken.
fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while let Some(line) = lines.last_mut() {
            let length = line.chars().count();
            let glue = usize::from(length > 0);
            if length + glue + word.len() <= width {
                line.extend(std::iter::repeat_n(' ', glue).chain(word));
                break;
            }
            if length == 0 {
                line.extend(word.drain(..width));
            }
            lines.push(String::new());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["service", ">bytes", "digest"]);
        table.row(["web".into(), "12 B".into(), "sha256:0123456789".into()]);
        table.row(["coordinator".into(), "3.45 MB".into(), "a|b".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_no_line_is_too_long() {
        expect![[r"
            service        bytes  digest
            web             12 B  sha256…
            coordinator  3.45 MB  a|b
        "]]
        .assert_eq(&table().text(29));
    }

    #[test]
    fn a_wrapped_table_leaves_nothing_out() {
        let mut table = Table::new(["service", "finding"]);
        table.row(["web".into(), "the layer is gone, which two tags lead to".into()]);
        table.row(["b".into(), "x".repeat(25)]);
        expect![[r"
            service  finding
            web      the layer is gone,
                     which two tags lead
                     to
            b        xxxxxxxxxxxxxxxxxxxx
                     xxxxx
        "]]
        .assert_eq(&table.wrapped(10));
    }

    #[test]
    fn markdown_keeps_what_would_end_a_cell() {
        expect![[r"
            | service | bytes | digest |
            | --- | ---: | --- |
            | web | 12 B | sha256:0123456789 |
            | coordinator | 3.45 MB | a\|b |
        "]]
        .assert_eq(&table().markdown());
    }
}
