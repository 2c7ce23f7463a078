//! Names of images, as Compose files have them, taken apart for the engine's API.

/// An image's name in its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Without tag and digest, as it was written.
    pub name: &'a str,
    /// The digest if there is one, else the tag.
    pub version: &'a str,
    /// Where its credentials are kept in docker's configuration.
    pub registry: &'a str,
}

/// Under which docker keeps the credentials for Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl Reference<'_> {
    /// Takes a name apart as docker does: `redis` is `redis:latest` of Docker Hub.
    pub fn parse(image: &str) -> Reference<'_> {
        let (tagged, digest) = match image.split_once('@') {
            Some((tagged, digest)) => (tagged, Some(digest)),
            None => (image, None),
        };
        let path_begins = tagged.rfind('/').map_or(0, |slash| slash + 1);
        let colon = tagged[path_begins..].find(':').map(|at| path_begins + at);
        let (name, tag) = match colon {
            Some(at) => (&tagged[..at], &tagged[at + 1..]),
            None => (tagged, "latest"),
        };
        let domain = name.split_once('/').map(|(domain, _)| domain);
        let is_domain = |word: &&str| word.contains(['.', ':']) || *word == "localhost";
        let registry = match domain.filter(is_domain) {
            None | Some("docker.io" | "index.docker.io") => DOCKER_HUB,
            Some(domain) => domain,
        };
        Reference {
            name,
            version: digest.unwrap_or(tag),
            registry,
        }
    }
}

/// The path that pulls an image (API 1.44), for a platform if one is named.
pub fn render_pull(image: &str, platform: Option<&str>) -> String {
    let reference = Reference::parse(image);
    let mut path = format!(
        "/images/create?fromImage={}&tag={}",
        encode(reference.name),
        encode(reference.version)
    );
    if let Some(platform) = platform {
        path.push_str(&format!("&platform={}", encode(platform)));
    }
    path
}

/// A text as part of a query.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_docker_does() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("ghcr.io/umami-software/umami:3.1.0@{digest}");
        for (image, name, version, registry) in [
            ("redis", "redis", "latest", DOCKER_HUB),
            ("redis:7-alpine", "redis", "7-alpine", DOCKER_HUB),
            (
                "glitchtip/glitchtip:6",
                "glitchtip/glitchtip",
                "6",
                DOCKER_HUB,
            ),
            (
                "docker.io/library/redis:7",
                "docker.io/library/redis",
                "7",
                DOCKER_HUB,
            ),
            (
                "127.0.0.1:5000/umami",
                "127.0.0.1:5000/umami",
                "latest",
                "127.0.0.1:5000",
            ),
            ("localhost/umami:3", "localhost/umami", "3", "localhost"),
            (&pinned, "ghcr.io/umami-software/umami", &digest, "ghcr.io"),
        ] {
            let wanted = Reference {
                name,
                version,
                registry,
            };
            assert_eq!(Reference::parse(image), wanted);
        }
    }

    #[test]
    fn the_path_names_one_image_and_no_more() {
        assert_eq!(
            render_pull("127.0.0.1:5000/my/umami", None),
            "/images/create?fromImage=127.0.0.1%3A5000%2Fmy%2Fumami&tag=latest"
        );
        assert_eq!(
            render_pull("redis:7", Some("linux/arm64")),
            "/images/create?fromImage=redis&tag=7&platform=linux%2Farm64"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(image in ".{0,60}") {
            let path = render_pull(&image, Some(&image));
            assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
        }
    }
}
