//! Bytes, seconds and shares as people read them.

/// SI units, three significant digits: `0 B`, `346 kB`, `1.38 GB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64;
    let mut unit = "B";
    for larger in UNITS {
        // A value that rounds to 1000 is shown in the next unit.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// `0.35 s`, `12.3 s`, `2 min 05 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 9.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time, in whole seconds"
    )]
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// The largest unit alone: `12 s`, `3 min`, `5 h`, `2 d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `83 %`. Only a share of exactly 1 is 100 %, and only a share of 0 is 0 %.
pub fn percent(share: f64) -> String {
    let percent = (share * 100.0).round();
    if percent >= 100.0 && share < 1.0 {
        return "99 %".to_owned();
    }
    if percent < 1.0 && share > 0.0 {
        return "1 %".to_owned();
    }
    format!("{percent:.0} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_an_si_unit() {
        let shown = [0, 999, 1000, 346_123, 999_499, 999_500, 1_380_000_000, 12_345_678].map(bytes);
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.00 kB", "346 kB", "999 kB", "1.00 MB", "1.38 GB", "12.3 MB"]
        );
    }

    #[test]
    fn seconds_become_minutes() {
        let shown = [0.354, 9.994, 9.996, 59.94, 59.96, 125.0].map(seconds);
        assert_eq!(shown, ["0.35 s", "9.99 s", "10.0 s", "59.9 s", "1 min 00 s", "2 min 05 s"]);
    }

    #[test]
    fn a_share_never_rounds_to_all_or_none() {
        assert_eq!(
            [0.0, 0.001, 0.834, 0.999, 1.0].map(percent),
            ["0 %", "1 %", "83 %", "99 %", "100 %"]
        );
    }
}
