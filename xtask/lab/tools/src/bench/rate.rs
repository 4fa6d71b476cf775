//! The rate of the link in front of the registry.

use std::fmt;
use std::str::FromStr;

/// A rate as `tc` writes it, such as `100mbit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    text: String,
    pub bytes_per_second: u64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected a rate such as 100mbit: a whole number and kbit, mbit or gbit";
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(expected)?;
        let (number, unit) = text.split_at(digits);
        let bits = match unit {
            "kbit" => 1_000_u64,
            "mbit" => 1_000_000,
            "gbit" => 1_000_000_000,
            _ => return Err(expected.to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| expected)?;
        let bytes_per_second = number.checked_mul(bits).map_or(0, |bits| bits / 8);
        if bytes_per_second == 0 {
            return Err(expected.to_owned());
        }
        Ok(Self { text: text.to_owned(), bytes_per_second })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_number_and_a_unit() {
        let check = |text: &str, bytes: Option<u64>| {
            let parsed = text.parse::<Rate>().ok();
            assert_eq!(parsed.map(|rate| rate.bytes_per_second), bytes, "{text}");
        };
        check("100mbit", Some(12_500_000));
        check("8kbit", Some(1000));
        check("1gbit", Some(125_000_000));
        for bad in ["", "100", "mbit", "0mbit", "1.5mbit", "100 mbit", "100mbps", "-1mbit"] {
            check(bad, None);
        }
        check("99999999999999999999gbit", None);
        assert_eq!("100mbit".parse::<Rate>().unwrap().to_string(), "100mbit");
    }
}
