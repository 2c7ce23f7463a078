//! The configuration as Compose resolves it. Each question is asked once: whoever changes `.env` makes a new
//! [`Docker`].

use std::cell::OnceCell;

use super::Docker;
use super::invocation::Running;

/// What Compose has answered.
#[derive(Default)]
pub(super) struct Answers {
    config: OnceCell<String>,
    hashes: OnceCell<String>,
}

/// A question to Compose that is under way, or was answered before.
pub enum Question<'a> {
    Asked(Running<'a>, &'a OnceCell<String>),
    Answered(&'a str),
}

impl Docker {
    /// Asks for the configuration: YAML.
    ///
    /// # Errors
    /// When docker cannot be run.
    pub fn ask_config(&self) -> anyhow::Result<Question<'_>> {
        self.question(&self.answers.config, &["config"])
    }

    /// Asks for the checksum of each service's configuration: a line each.
    ///
    /// # Errors
    /// When docker cannot be run.
    pub fn ask_hashes(&self) -> anyhow::Result<Question<'_>> {
        self.question(&self.answers.hashes, &["config", "--hash", "*"])
    }

    fn question<'a>(
        &'a self,
        answer: &'a OnceCell<String>,
        arguments: &[&str],
    ) -> anyhow::Result<Question<'a>> {
        Ok(match answer.get() {
            Some(text) => Question::Answered(text),
            None => Question::Asked(self.compose().args(arguments).start()?, answer),
        })
    }
}

impl<'a> Question<'a> {
    pub fn is_answered(&self) -> bool {
        matches!(self, Question::Answered(_))
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// [`super::invocation::Failure`] when Compose refuses the configuration.
    pub fn finish(self) -> anyhow::Result<&'a str> {
        match self {
            Question::Answered(text) => Ok(text),
            Question::Asked(running, answer) => {
                let text = running.finish()?;
                Ok(answer.get_or_init(|| text))
            }
        }
    }
}
