//! What is wrong and what to do about it: one type for errors, findings and explanations.
//!
//! Must never print: `terminal` renders it.

use std::fmt;

/// Something that is wrong, with what mends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, as a sentence without a full stop at its end.
    pub what: String,
    /// What the user can do; commands in it stand in backquotes and can be typed as they stand.
    pub hint: Option<String>,
    /// What another program said that shows it, word for word, without secrets.
    pub evidence: Option<String>,
}

impl Problem {
    /// A problem that nothing more is known of.
    pub fn new(what: impl Into<String>) -> Problem {
        Problem {
            what: what.into(),
            ..Problem::default()
        }
    }

    /// The same with what mends it.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same with the words that show it.
    pub fn evidence(self, evidence: impl Into<String>) -> Problem {
        Problem {
            evidence: Some(evidence.into()),
            ..self
        }
    }

    /// The whole of an error as one problem: what was being done and what went wrong, with the first
    /// hint and the first evidence that any part of it has.
    pub fn of(error: &anyhow::Error) -> Problem {
        let parts = || {
            let outer = error.downcast_ref::<Problem>();
            outer.into_iter().chain(
                error
                    .chain()
                    .filter_map(|cause| cause.downcast_ref::<Problem>()),
            )
        };
        Problem {
            what: format!("{error:#}"),
            hint: parts().find_map(|problem| problem.hint.clone()),
            evidence: parts().find_map(|problem| problem.evidence.clone()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_keeps_the_first_hint_whatever_is_said_around_it() {
        let inner = Problem::new("`.env` has no KEY")
            .hint("run `cargo xtask setup`")
            .evidence("line 3");
        let error = Err::<(), _>(anyhow::Error::from(inner))
            .context("reading settings")
            .unwrap_err();
        let problem = Problem::of(&error);
        assert_eq!(problem.what, "reading settings: `.env` has no KEY");
        assert_eq!(problem.hint.as_deref(), Some("run `cargo xtask setup`"));
        assert_eq!(problem.evidence.as_deref(), Some("line 3"));
    }

    #[test]
    fn a_problem_that_is_context_gives_its_hint_too() {
        let error = Err::<(), _>(anyhow::anyhow!("refused"))
            .context(Problem::new("PostgreSQL does not answer").hint("run `cargo xtask up`"))
            .unwrap_err();
        let problem = Problem::of(&error);
        assert_eq!(problem.what, "PostgreSQL does not answer: refused");
        assert_eq!(problem.hint.as_deref(), Some("run `cargo xtask up`"));
    }
}
