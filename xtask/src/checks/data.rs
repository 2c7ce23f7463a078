//! What PostgreSQL's volume holds, and the disk that it is on: looked at by a container that sees nothing
//! else. Must never write to a volume.

use super::Scene;
use super::finding::Finding;
use crate::problem::Problem;
use crate::stack::database::CLIENT;
use crate::stack::desired::{Access, Service};

/// What [`Probe`] reads, said by a shell in PostgreSQL's image. Since PostgreSQL 18 there is a folder for each
/// major version, `18/docker`.
const SCRIPT: &str = "\
    echo \"data: $(cat \"$PGDATA/PG_VERSION\" \"${PGDATA%/*/*}\"/*/docker/PG_VERSION 2>/dev/null | head -n 1)\"; \
    postgres --version; df -Pk \"$PGDATA\" 2>/dev/null || df -Pk /";

/// What the volume and the image say.
#[derive(Debug, PartialEq, Eq)]
pub struct Probe {
    /// PostgreSQL's major version that made the data; `None` if there is none.
    pub data_major: Option<u32>,
    pub image_major: Option<u32>,
    /// Bytes left on the disk.
    pub free: Option<u64>,
}

/// Looks with the tools of PostgreSQL's image. Starts a container and removes it; `None` if that does not
/// work, as while the image is not here.
pub fn probe(scene: &Scene) -> Option<Probe> {
    let postgres = postgres(scene)?;
    let volume = scene.config.volumes.get("postgres_data");
    let volume = volume.map(|volume| volume.name.as_str()).filter(|name| {
        let volumes = &scene.engine.volumes;
        volumes.iter().any(|volume| volume.name == *name)
    });
    let data = volume.and_then(|_| scene.config.postgres_data(Access::Read));

    let options = ["run", "--rm", "--pull", "never", "--network", "none"];
    let run = scene.docker.docker().args(options);
    let run = run.args(data.map(|data| data.options).unwrap_or_default());
    let run = run.args(["--entrypoint", "sh", &postgres.image, "-c", SCRIPT]);
    Some(Probe::parse(&run.text().ok()?))
}

/// Whether PostgreSQL's image can read the data; `None` where the data is on a server of somebody else's.
pub fn check(scene: &Scene, probe: &Probe) -> Option<Finding> {
    if scene.config.shared_server().is_some() {
        return None;
    }
    Some(probe.check(&postgres(scene)?.image))
}

fn postgres<'a>(scene: &'a Scene) -> Option<&'a Service> {
    // Where the server is somebody else's, its image is here all the same.
    let services = &scene.config.services;
    services.get("postgres").or_else(|| services.get(CLIENT))
}

impl Probe {
    /// Reads what the script printed.
    pub fn parse(output: &str) -> Probe {
        let after = |word: &str| output.lines().find_map(|line| line.strip_prefix(word));
        let major = |text: &str| text.trim().split('.').next()?.parse().ok();
        let blocks = output
            .lines()
            .last()
            .and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        Probe {
            data_major: after("data: ").and_then(major),
            image_major: after("postgres (PostgreSQL) ")
                .and_then(|text| major(text.split(' ').next()?)),
            free: blocks.map(|blocks| blocks * 1024),
        }
    }

    fn check(&self, image: &str) -> Finding {
        match (self.data_major, self.image_major) {
            (Some(data), Some(in_image)) if data != in_image => {
                let what = format!(
                    "the volume was made by PostgreSQL {data}, and {image} is PostgreSQL {in_image}, \
                     which cannot read it"
                );
                let hint =
                    format!("set POSTGRES_IMAGE in deploy/analytics/.env to PostgreSQL {data}");
                Finding::error("data", Problem::new(what).hint(hint))
            }
            (Some(data), _) => Finding::good("data", format!("PostgreSQL {data}, like {image}")),
            (None, _) => Finding::good("data", "none yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn data_of_another_major_version_is_an_error() {
        let check = |output: &str| Probe::parse(output).check("postgres:16").level;
        let same = "data: 15\npostgres (PostgreSQL) 15.18\n";
        assert_eq!(check(same), Level::Good);
        assert_eq!(check("data: \npostgres (PostgreSQL) 15.18\n"), Level::Good);
        let other = "data: 15\npostgres (PostgreSQL) 16.2 (Debian)\n";
        assert_eq!(check(other), Level::Error);
    }
}
