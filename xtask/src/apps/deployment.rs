//! The two places where the applications run, and what mends them there.

/// Which deployment is asked: what mends one does not mend the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    Here,
    Production,
}

impl Deployment {
    pub fn env_file(self) -> &'static str {
        match self {
            Deployment::Here => "deploy/analytics/.env",
            Deployment::Production => "deploy/production/.env",
        }
    }

    /// What runs again the one-shots that a service waits for, in backquotes.
    pub fn prepare_again(self, service: &str) -> String {
        match self {
            Deployment::Here => format!("`cargo xtask restart {service}`"),
            Deployment::Production => "`cargo xtask production deploy`".to_owned(),
        }
    }

    /// What shows the logs of a service, in backquotes.
    pub fn logs(self, service: &str) -> String {
        match self {
            Deployment::Here => format!("`cargo xtask logs {service}`"),
            Deployment::Production => format!("`cargo xtask production logs {service}`"),
        }
    }
}
