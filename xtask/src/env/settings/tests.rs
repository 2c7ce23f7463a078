//! What settings an env file makes, and what each missing one says.

use super::*;
use crate::env::template::Template;

const TEMPLATE: &str = include_str!("../../../../deploy/analytics/.env.example");

fn values(text: &str) -> Values {
    let template = Template::parse(TEMPLATE).unwrap();
    Values::of(template, text, "the .env", &|_| None).unwrap()
}

fn settings(text: &str) -> Settings {
    Settings::of(&values(text))
}

#[test]
fn without_an_env_file_the_defaults_hold_and_secrets_are_missing() {
    let settings = settings("");
    assert_eq!(settings.postgres.superuser, "analytics_admin");
    assert_eq!(settings.umami.database, "umami_db");
    assert_eq!(settings.glitchtip.registration, Registration::Closed);
    let problem = settings.umami.website_id.get().unwrap_err();
    assert_eq!(
        problem.what,
        "the .env has no value for UMAMI_WEBSITE_ID yet"
    );
    let hint = "run `cargo xtask setup`, which makes one";
    assert_eq!(problem.hint.as_deref(), Some(hint));
}

#[test]
fn the_env_file_wins_and_an_empty_value_is_none() {
    let text = "POSTGRES_USER=me\nPOSTGRES_DB=\nPOSTGRES_PASSWORD=#1\n\
                GLITCHTIP_USER_REGISTRATION=TRUE\n";
    let settings = settings(text);
    assert_eq!(settings.postgres.superuser, "me");
    assert_eq!(settings.postgres.default_database, "postgres");
    assert_eq!(settings.postgres.password.get().unwrap().expose(), "#1");
    assert_eq!(settings.glitchtip.registration, Registration::Open);
}

#[test]
fn a_wrong_value_fails_those_who_need_it_with_its_line() {
    let settings = settings("A=1\nUMAMI_WEBSITE_ID=hunter2\n");
    let problem = settings.umami.website_id.get().unwrap_err();
    assert_eq!(
        problem.what,
        "the .env, line 2: UMAMI_WEBSITE_ID is not a UUID"
    );
}

#[test]
fn no_secret_shows() {
    let values = values("POSTGRES_PASSWORD=hunter2\n");
    let settings = Settings::of(&values);
    let secret = settings.postgres.password.get().unwrap();
    assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    assert!(!format!("{settings:?} {values:?}").contains("hunter2"));
    assert_eq!(values.redact("it is hunter2"), "it is ***");
}

#[test]
fn every_secret_is_known_as_it_is_read_and_as_it_is_written() {
    let text = "POSTGRES_PASSWORD=old\nPOSTGRES_PASSWORD=\"a\\$b\"\nUMAMI_WEBSITE_ID=public\n\
                GLITCHTIP_EMAIL_URL=smtp://me:mailpass@h\nUMAMI_APP_SECRET=\n";
    let values = values(text);
    let shown = values.redact("mailpass a\\$b a$b old public");
    assert_eq!(shown, "*** *** *** *** public");
}

#[test]
fn every_name_is_known_but_the_projects() {
    let values = values("MINE=1\nBARE\nCOMPOSE_PROJECT_NAME=x\nCOMPOSE_FILE=y\n");
    let names = values.names();
    for name in ["MINE", "COMPOSE_FILE", "POSTGRES_USER", "BIND_ADDRESS"] {
        assert!(names.contains(name), "{name}");
    }
    assert!(!names.contains("BARE") && !names.contains("COMPOSE_PROJECT_NAME"));
}

#[test]
fn what_compose_refuses_is_named_without_its_value() {
    let template = Template::parse(TEMPLATE).unwrap();
    let problem = Values::of(template, "A=1\nB='hunter2", "the .env", &|_| None).unwrap_err();
    assert!(problem.what.starts_with("the .env, line 2: "), "{problem}");
    assert!(!problem.what.contains("hunter2"));
}
