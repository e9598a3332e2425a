//! The arguments that libtest takes, as far as they make sense here; the rest is taken for granted.

use std::env;

/// Tests wait more than they compute, but each pod that starts computes.
const THREADS: usize = 4;

/// What this program was asked to do.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    pub(super) list: bool,
    pub(super) threads: usize,
}

impl Arguments {
    pub(super) fn of_this_program() -> Self {
        let threads = env::var("RUST_TEST_THREADS").ok().and_then(|text| text.parse().ok());
        Self::parse(env::args().skip(1), threads)
    }

    fn parse(words: impl IntoIterator<Item = String>, threads: Option<usize>) -> Self {
        let mut this = Self { threads: threads.unwrap_or(THREADS), ..Self::default() };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            // `--name=value` and `--name value` are the same.
            let (name, value) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let mut value = || value.map(str::to_owned).or_else(|| words.next()).unwrap_or_default();
            match name {
                "--exact" => this.exact = true,
                "--list" => this.list = true,
                "--skip" => this.skip.push(value()),
                "--test-threads" => this.threads = value().parse().unwrap_or(THREADS),
                "--format" | "--color" | "--logfile" | "-Z" => drop(value()),
                _ if name.starts_with('-') => {}
                _ => this.filters.push(word),
            }
        }
        this.threads = this.threads.max(1);
        this
    }

    /// Whether a test is to run.
    pub(super) fn choose(&self, test: &str) -> bool {
        let matches =
            |filter: &String| if self.exact { test == filter } else { test.contains(filter.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Arguments {
        Arguments::parse(text.split_whitespace().map(str::to_owned), None)
    }

    #[test]
    fn without_arguments_everything_runs() {
        assert!(parse("").choose("nodes::from_zero"));
        assert_eq!(parse("").threads, THREADS);
    }

    #[test]
    fn filters_choose_by_part_or_exactly() {
        assert!(parse("zero").choose("nodes::from_zero"));
        assert!(!parse("zero").choose("rbac::is_real"));
        assert!(!parse("--exact zero").choose("nodes::from_zero"));
        assert!(parse("--exact nodes::from_zero").choose("nodes::from_zero"));
        assert!(!parse("--skip zero").choose("nodes::from_zero"));
        assert!(!parse("nodes --skip=zero").choose("nodes::from_zero"));
    }

    #[test]
    fn values_are_no_filters() {
        let arguments = parse("--test-threads 2 --format pretty --nocapture");
        assert_eq!(arguments.threads, 2);
        assert!(arguments.choose("any"));
        assert_eq!(parse("--test-threads=0").threads, 1);
    }
}
