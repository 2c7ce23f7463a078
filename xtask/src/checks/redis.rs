//! Whether Redis is new enough for GlitchTip. Only looks.

use super::Scene;
use super::finding::Finding;
use crate::docker::inspect::Image;
use crate::docker::versions::Version;
use crate::problem::Problem;

/// GlitchTip 6 takes its tasks with BLMPOP, which Redis has since 7.0: before it, events wait for ever and the
/// worker looks healthy (read in django-vtasks 3.1.0).
const OLDEST: u32 = 7;

/// Looks at the image of the service redis: at its tag, and where it is here at what it says of itself.
///
/// # Errors
/// When the engine answers in a way that is not known.
pub fn check(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let Some(service) = scene.config.services.get("redis") else {
        return Ok(Vec::new());
    };
    let name = service.image.as_str();
    let images = scene.docker.inspect_images([name])?;
    let major = major(name, images.get(name));
    Ok(major
        .into_iter()
        .filter(|major| *major < OLDEST)
        .map(|it| too_old(name, it))
        .collect())
}

/// The major version of Redis in an image; `None` where nothing tells it.
fn major(name: &str, image: Option<&Image>) -> Option<u32> {
    let said = image.and_then(|image| image.variable("REDIS_VERSION"));
    let tag = name
        .rsplit_once(':')
        .filter(|(repository, _)| repository.ends_with("redis"));
    let version = said.or(tag.map(|(_, tag)| tag)).and_then(Version::parse)?;
    Some(version.0)
}

fn too_old(name: &str, major: u32) -> Finding {
    let what = format!(
        "the image {name} is Redis {major}, and GlitchTip needs Redis {OLDEST} or later: events \
         would wait in it for ever"
    );
    let hint = "set REDIS_IMAGE=redis:7-alpine in deploy/analytics/.env, then `cargo xtask up`";
    Finding::error("images", Problem::new(what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::inspect::parse_images;

    #[track_caller]
    fn check(name: &str, variables: &str, wanted: Option<u32>) {
        let json = format!(r#"[{{"Id":"sha256:1","Config":{{"Env":[{variables}]}}}}]"#);
        let image = parse_images(&json).unwrap().remove(0);
        assert_eq!(major(name, Some(&image)), wanted, "{name} {variables}");
    }

    #[test]
    fn the_version_is_that_of_the_image_or_else_of_its_tag() {
        check("redis:6-alpine", "", Some(6));
        check("docker.io/library/redis:6.2.14", r#""PATH=/bin""#, Some(6));
        check("redis:latest", r#""REDIS_VERSION=5.0.14""#, Some(5));
        check(
            "registry.example.com:5000/cache",
            r#""REDIS_VERSION=7.4.1""#,
            Some(7),
        );
        check("redis:7-alpine", "", Some(7));
        // Nothing tells, so nothing is refused.
        check("redis", "", None);
        check("valkey/valkey:8-alpine", "", None);
        check("localhost:6000/my-cache", "", None);
        assert_eq!(major("redis:6", None), Some(6));
    }
}
