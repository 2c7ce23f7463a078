//! What `probe.sh` says of PostgreSQL's files, and what it means. Must never look itself.

use anyhow::bail;

use super::condition::Condition;
use crate::problem::Problem;

/// PostgreSQL's files, seen without a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The major version of the image.
    image: String,
    data: Data,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Data {
    /// By the major version that made it.
    Cluster(String),
    Empty,
    #[default]
    Incomplete,
    /// The image keeps its data here, outside of the volume.
    Elsewhere(String),
}

/// Reads the lines that `probe.sh` prints.
pub fn parse(text: &str) -> Probe {
    let mut probe = Probe::default();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "image" => rest.clone_into(&mut probe.image),
            "data" => probe.data = Data::Cluster(rest.to_owned()),
            "empty" => probe.data = Data::Empty,
            "elsewhere" => probe.data = Data::Elsewhere(rest.to_owned()),
            _ => {}
        }
    }
    probe
}

impl Probe {
    /// Whether a server can be started on the files of `volume`, which is mounted at `mount`.
    ///
    /// # Errors
    /// When the configuration has the volume at another place than the image.
    pub fn judge(&self, volume: &str, image: &str, mount: &str) -> anyhow::Result<Condition> {
        Ok(match &self.data {
            Data::Cluster(version) if *version == self.image => Condition::Usable,
            Data::Cluster(version) => Condition::Broken(format!(
                "its data was made by PostgreSQL {version}, and {image} is PostgreSQL {}, which \
                 cannot read it",
                self.image
            )),
            Data::Empty => Condition::Nothing(format!("the volume {volume} is empty")),
            Data::Incomplete => Condition::Broken(format!(
                "the volume {volume} holds files that are no complete PostgreSQL data"
            )),
            Data::Elsewhere(folder) => bail!(
                Problem::new(format!(
                    "{image} keeps its data in {folder}, and docker-compose.yml has the volume \
                     {volume} at {mount}"
                ))
                .hint(
                    "mount `postgres_data` at a folder above that one in \
                     deploy/analytics/docker-compose.override.yml; deploy/analytics/README.md \
                     shows how, in \"New secrets, new versions\""
                )
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, wanted: &str) {
        let judged = parse(said).judge("x_postgres_data", "postgres:15", "/data");
        let found = match judged {
            Ok(Condition::Usable) => "usable".to_owned(),
            Ok(Condition::Nothing(reason)) => format!("nothing: {reason}"),
            Ok(Condition::Broken(reason)) => format!("broken: {reason}"),
            Err(error) => format!("error: {error}"),
        };
        assert!(found.starts_with(wanted), "{found}");
    }

    #[test]
    fn only_data_of_the_same_major_version_can_be_started() {
        check("image 15\ndata 15\n", "usable");
        check(
            "image 15\ndata 14\n",
            "broken: its data was made by PostgreSQL 14, and postgres:15 is PostgreSQL 15",
        );
        check(
            "image 15\ndata 9.6\n",
            "broken: its data was made by PostgreSQL 9.6",
        );
        check(
            "image 15\nempty\n",
            "nothing: the volume x_postgres_data is empty",
        );
        check(
            "image 15\nincomplete\n",
            "broken: the volume x_postgres_data holds files",
        );
        check(
            "image 18\nelsewhere /var/lib/postgresql/18/docker\n",
            "error: postgres:15 keeps its data in /var/lib/postgresql/18/docker",
        );
        // A probe that was cut off proves nothing.
        check("", "broken");
    }
}
