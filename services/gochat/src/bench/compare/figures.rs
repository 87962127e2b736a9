//! Figures from results, and what two programs' figures say of each other. Pure.

use serde_json::Value as Json;

use super::rows::Row;

/// Results of the runs of one program.
pub(super) type Samples = Vec<Json>;

/// Direction in which a figure improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

/// Where in a result a figure stands. Paths are names with dots between.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// A number.
    Value(&'static str),
    /// A number by another one (or by 1), times a factor.
    Per(&'static str, &'static str, f64),
    /// The median of a number over the entries of a list.
    Median(&'static str, &'static str),
}

/// One figure of a row.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) source: Source,
    pub(super) better: Better,
}

/// A figure of both programs.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) figure: &'static Figure,
    pub(super) before: Spread,
    pub(super) now: Spread,
}

/// Least, median and greatest value of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) runs: usize,
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

impl Compared {
    /// `now` by `before`.
    pub(super) fn ratio(&self) -> f64 {
        self.now.median / self.before.median
    }

    /// The ratio, turned so that more is better.
    pub(super) fn gain(&self) -> f64 {
        match self.figure.better {
            Better::Higher => self.ratio(),
            Better::Lower => self.before.median / self.now.median,
        }
    }

    /// Whether the runs of the two programs lie apart: no run of one is like a run of the other.
    /// One run of each says nothing.
    pub(super) fn is_clear(&self) -> bool {
        let lie_apart = self.now.least > self.before.most || self.now.most < self.before.least;
        lie_apart && self.now.runs.min(self.before.runs) > 1
    }
}

/// The figures of a row that both programs have, and that are not zero.
pub(super) fn compare(row: &Row, [before, now]: &[Samples; 2]) -> Vec<Compared> {
    let figures = row.figures.iter();
    let both = figures.filter_map(|figure| {
        let of = |samples: &Samples| {
            let values = samples.iter().filter_map(|json| value(json, figure.source));
            Spread::of(values.collect()).filter(|spread| spread.median > 0.0)
        };
        let (before, now) = (of(before)?, of(now)?);
        Some(Compared {
            figure,
            before,
            now,
        })
    });
    both.collect()
}

impl Spread {
    /// `None` without a value.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, values[middle])
        } else {
            values[middle]
        };
        Some(Self {
            runs: values.len(),
            least: *values.first()?,
            median,
            most: *values.last()?,
        })
    }
}

fn value(json: &Json, source: Source) -> Option<f64> {
    match source {
        Source::Value(path) => at(json, path)?.as_f64(),
        Source::Per(path, by, factor) => {
            let by = if by.is_empty() {
                1.0
            } else {
                at(json, by)?.as_f64()?
            };
            let value = at(json, path)?.as_f64()?;
            (by > 0.0).then(|| value / by * factor)
        }
        Source::Median(list, path) => {
            let entries = at(json, list)?.as_array()?.iter();
            let values = entries.filter_map(|entry| at(entry, path)?.as_f64());
            Some(Spread::of(values.collect())?.median)
        }
    }
}

fn at<'a>(json: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(json, |json, name| json.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.to_vec()).unwrap()
    }

    static LATENCY: Figure = Figure {
        name: "p50",
        unit: "ms",
        source: Source::Value("p50"),
        better: Better::Lower,
    };

    fn compared(before: &[f64], now: &[f64]) -> Compared {
        Compared {
            figure: &LATENCY,
            before: spread(before),
            now: spread(now),
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]).median, 2.0);
        let even = spread(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!((even.least, even.median, even.most), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn half_the_latency_is_twice_as_good() {
        let halved = compared(&[2.0, 2.2, 1.8], &[1.0, 1.1, 0.9]);
        assert_eq!((halved.ratio(), halved.gain()), (0.5, 2.0));
        assert!(halved.is_clear());
        assert!(!compared(&[2.0, 3.0], &[2.5, 4.0]).is_clear());
        assert!(!compared(&[2.0], &[1.0]).is_clear());
    }

    #[test]
    fn figures_are_found_in_results() {
        let json = json!({ "server": { "cpu": 2.0 }, "sent": 4_000,
            "rounds": [{ "rate": 1.0 }, { "rate": 3.0 }, { "rate": 2.0 }] });
        assert_eq!(value(&json, Source::Value("server.cpu")), Some(2.0));
        assert_eq!(
            value(&json, Source::Per("server.cpu", "sent", 1_000.0)),
            Some(0.5)
        );
        assert_eq!(value(&json, Source::Per("sent", "", 0.5)), Some(2_000.0));
        assert_eq!(value(&json, Source::Median("rounds", "rate")), Some(2.0));
        assert_eq!(value(&json, Source::Value("server.memory")), None);
        assert_eq!(value(&json, Source::Per("sent", "nothing", 1.0)), None);
    }
}
