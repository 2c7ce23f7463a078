//! Umami's own interface, as far as we use it (Umami 3.1.0, measured 2026-11-22).
//!
//! Never changes an account, and never touches a website other than the one for verification.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::apps::http::{Answer, Request, Transport};
use crate::problem::Problem;

/// The website that holds the events of `verify`; `umami-accounts.sql` makes it.
pub const VERIFICATION_SITE: &str = "ca5cade0-7e57-4e57-8e57-ca5cade07e57";

/// The administrator that Umami's migration makes.
pub const ADMIN: &str = "admin";

/// The password that Umami ships.
pub const SHIPPED_PASSWORD: &str = "umami";

/// One of those that Umami takes for a bot's.
const BOT: &str = "curl/8";

pub struct Umami<'a> {
    /// Scheme, host and port.
    pub url: String,
    /// The way there.
    pub transport: &'a dyn Transport,
}

/// The right to read, for as long as the administrator exists.
pub struct Token(String);

/// A page view, or with a name a custom event.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub url_path: String,
    pub event_name: Option<String>,
}

impl Umami<'_> {
    fn send(&self, request: &Request) -> anyhow::Result<Answer> {
        self.transport.send(&self.url, request)
    }

    /// Checks that the server answers and hands out the tracker.
    pub fn check_answers(&self) -> anyhow::Result<()> {
        self.send(&Request::get("/api/heartbeat"))?
            .success("Umami")?;
        self.send(&Request::get("/script.js"))?.success("Umami")?;
        Ok(())
    }

    /// Whether it has a website with this id. Asks as a bot would, whose page views Umami drops after it
    /// has looked for the website (3.1.0), so that nothing is stored.
    ///
    /// # Errors
    /// When nothing answers, or something that is no Umami.
    pub fn has_website(&self, id: &str) -> anyhow::Result<bool> {
        let payload = json!({
            "website": id,
            "hostname": "verify.invalid",
            "url": "/",
        });
        let body = json!({"type": "event", "payload": payload});
        let request = Request::post_json("/api/send", &body).header("User-Agent", BOT);
        let answer = self.send(&request)?;
        match answer.status {
            200 if !answer.body["beep"].is_null() => Ok(true),
            400 => Ok(false),
            _ => bail!("no Umami: it answers {answer}"),
        }
    }

    /// Logs in; `None` when Umami knows no such name and password.
    pub fn log_in(&self, username: &str, password: &str) -> anyhow::Result<Option<Token>> {
        let body = json!({"username": username, "password": password});
        let answer = self.send(&Request::post_json("/api/auth/login", &body))?;
        if answer.status == 401 {
            return Ok(None);
        }
        let body = answer.success("Umami")?;
        let token = body["token"]
            .as_str()
            .context("Umami answers a login without a token")?;
        Ok(Some(Token(format!("Bearer {token}"))))
    }

    /// The name of a website; `None` when there is none with this id, or when it was deleted.
    pub fn website(&self, token: &Token, id: &str) -> anyhow::Result<Option<String>> {
        let path = format!("/api/websites/{id}");
        let body = self.read(token, &path)?;
        let name = body["name"]
            .as_str()
            .filter(|_| body["deletedAt"].is_null());
        Ok(name.map(str::to_owned))
    }

    /// Sends an event to the website for verification, as its tracker would from a browser.
    ///
    /// # Errors
    /// When Umami does not take it, with the hop that lost it.
    pub fn send_event(&self, event: &Event) -> anyhow::Result<()> {
        let mut payload = json!({
            "website": VERIFICATION_SITE,
            "hostname": "verify.invalid",
            "url": event.url_path,
            "title": "cargo xtask verify",
            "language": "en-US",
            "screen": "1920x1080",
            "referrer": "",
        });
        if let Some(name) = &event.event_name {
            payload["name"] = json!(name);
            payload["data"] = json!({"sent_by": "cargo xtask verify"});
        }
        let body = json!({"type": "event", "payload": payload});
        let answer = self.send(&Request::post_json("/api/send", &body))?;
        if answer.status == 400 {
            let again = self.transport.deployment().prepare_again("umami");
            bail!(
                Problem::new("the website that holds test events is gone from Umami")
                    .hint(format!("make it again with {again}"))
            );
        }
        if answer.status == 500 {
            bail!(
                Problem::new(format!(
                    "lost between Umami and PostgreSQL: Umami answers {answer}"
                ))
                .hint(format!("see {}", self.transport.deployment().logs("umami")))
            );
        }
        let body = answer.success("Umami")?;
        // What it takes for a bot's gets another answer, and is not stored.
        body["sessionId"]
            .as_str()
            .context("Umami took it for a bot's and dropped it")?;
        Ok(())
    }

    /// The newest events of the website for verification between two times, in milliseconds since 1970.
    pub fn events(&self, token: &Token, start: u64, end: u64) -> anyhow::Result<Vec<Event>> {
        let path = format!(
            "/api/websites/{VERIFICATION_SITE}/events?startAt={start}&endAt={end}&pageSize=100"
        );
        parse_events(&self.read(token, &path)?)
    }

    /// Removes every event of the website for verification.
    pub fn reset(&self, token: &Token) -> anyhow::Result<()> {
        let path = format!("/api/websites/{VERIFICATION_SITE}/reset");
        let request = Request::post_json(&path, &json!({})).header("Authorization", &token.0);
        self.send(&request)?.success("Umami")?;
        Ok(())
    }

    fn read(&self, token: &Token, path: &str) -> anyhow::Result<Value> {
        let request = Request::get(path).header("Authorization", &token.0);
        self.send(&request)?.success("Umami")
    }
}

fn parse_events(body: &Value) -> anyhow::Result<Vec<Event>> {
    Vec::deserialize(&body["data"])
        .context("Umami lists its events in a way that is not known here")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of Umami 3.1.0, shortened.
    #[test]
    fn reads_page_views_and_custom_events() {
        let body = json!({"data": [
            {"id": "a7919b21", "urlPath": "/xtask-verify/c2", "eventType": 2, "eventName": "xtask-verify-c2", "hasData": true},
            {"id": "0992090f", "urlPath": "/xtask-verify/c2", "eventType": 1, "eventName": null, "hasData": false},
        ], "count": 2, "page": 1, "pageSize": 20});
        let event = |name: Option<&str>| Event {
            url_path: "/xtask-verify/c2".to_owned(),
            event_name: name.map(str::to_owned),
        };
        assert_eq!(
            parse_events(&body).unwrap(),
            [event(Some("xtask-verify-c2")), event(None)]
        );
        assert!(parse_events(&json!({"error": {}})).is_err());
    }

    #[test]
    fn the_accounts_script_makes_the_website_that_verify_uses() {
        let script = include_str!("../../../deploy/analytics/umami-accounts.sql");
        assert!(script.contains(&format!("'{VERIFICATION_SITE}'")));
    }
}
