//! The environment that docker runs in: what of the user's it may see. Must never look itself.

use crate::env::grammar::is_project_name;

/// Variables of Compose that may stay: which stack is meant, and how much is done at once.
const HARMLESS: [&str; 2] = ["COMPOSE_PROJECT_NAME", "COMPOSE_PARALLEL_LIMIT"];

/// What Compose and docker are told where nothing else is asked for. Set, so that neither the shell nor
/// `.env` changes what is read or printed: Compose prefers its environment to `.env` (2.26 and 5.5,
/// cmd/compose/compose.go and compose-go's cli/options.go, read and tried 2026-11-25).
pub const FIXED: [(&str, &str); 10] = [
    ("COMPOSE_ANSI", "auto"),
    ("COMPOSE_COMPATIBILITY", "0"),
    ("COMPOSE_CONVERT_WINDOWS_PATHS", "0"),
    ("COMPOSE_DISABLE_ENV_FILE", "0"),
    ("COMPOSE_IGNORE_ORPHANS", "0"),
    ("COMPOSE_MENU", "0"),
    ("COMPOSE_PATH_SEPARATOR", ":"),
    ("COMPOSE_PROGRESS", "auto"),
    ("COMPOSE_REMOVE_ORPHANS", "0"),
    ("COMPOSE_STATUS_STDOUT", "0"),
];

/// Whether a variable of the user's shell would make Compose or docker do something else than this tool
/// asks for. Those that say which engine to ask (DOCKER_HOST and the like) are the user's to set.
pub fn redirects(name: &str) -> bool {
    let is_composes = name.starts_with("COMPOSE_") && !HARMLESS.contains(&name);
    is_composes || name == "DOCKER_DEFAULT_PLATFORM"
}

/// The variable that Compose refuses, of those that may stay.
pub fn refused(value_of: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let is_refused = |name: &&str| {
        let value = value_of(name).filter(|value| !value.is_empty());
        value.is_some_and(|value| match *name {
            "COMPOSE_PROJECT_NAME" => !is_project_name(&value),
            _ => value.parse::<i32>().is_err(),
        })
    };
    HARMLESS.into_iter().find(is_refused)
}

/// Whether a variable says which engine is asked, and how.
pub fn chooses_engine(name: &str) -> bool {
    name.starts_with("DOCKER_") && !redirects(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_would_refuse_is_known() {
        let refused_of =
            |name: &str, value: &str| refused(|asked| (asked == name).then(|| value.to_owned()));
        let (project, limit) = ("COMPOSE_PROJECT_NAME", "COMPOSE_PARALLEL_LIMIT");
        assert_eq!(refused_of(project, "Bad_Name"), Some(project));
        assert_eq!(refused_of(project, "good-1"), None);
        assert_eq!(refused_of(limit, "x"), Some(limit));
        assert_eq!(refused_of(limit, "-1"), None);
        assert_eq!(refused_of(limit, ""), None);
    }

    #[test]
    fn what_redirects_compose_is_kept_from_it() {
        let redirecting = FIXED.map(|(name, _)| name);
        let more = ["COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"];
        for name in redirecting.into_iter().chain(more) {
            assert!(redirects(name), "{name}");
        }
        assert!(redirects("DOCKER_DEFAULT_PLATFORM"));
        for name in [
            "COMPOSE_PROJECT_NAME",
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "HOME",
        ] {
            assert!(!redirects(name), "{name}");
        }
    }
}
