//! What the website's code needs to report to the stack, as people and programs read it. Nothing secret:
//! a website id and a DSN are in every page that uses them.

use serde::Serialize;

#[derive(Serialize)]
pub struct Connection {
    pub umami: Umami,
    pub glitchtip: GlitchTip,
}

#[derive(Serialize)]
pub struct Umami {
    pub url: String,
    pub script_url: String,
    pub website_id: String,
    /// For the head of every page.
    pub snippet: String,
}

#[derive(Serialize)]
pub struct GlitchTip {
    pub url: String,
    /// The project's name.
    pub project: String,
    pub dsn: String,
}

impl Umami {
    pub fn new(url: String, website_id: String) -> Umami {
        let script_url = format!("{url}/script.js");
        let snippet =
            format!(r#"<script defer src="{script_url}" data-website-id="{website_id}"></script>"#);
        Umami {
            url,
            script_url,
            website_id,
            snippet,
        }
    }
}

impl Connection {
    /// `KEY=value` lines. Sentry's SDKs read `SENTRY_DSN` by themselves.
    pub fn render_env(&self) -> String {
        format!(
            "UMAMI_SCRIPT_URL={}\nUMAMI_WEBSITE_ID={}\nSENTRY_DSN={}\n",
            self.umami.script_url, self.umami.website_id, self.glitchtip.dsn
        )
    }

    /// With an example for each kind of code.
    pub fn render_text(&self) -> String {
        let Connection { umami, glitchtip } = self;
        let (snippet, dsn) = (&umami.snippet, &glitchtip.dsn);
        format!(
            r#"Umami       {}
website id  {}
GlitchTip   {}, project {}
DSN         {dsn}

Web page: the first line into its head, the others into its code (npm install @sentry/browser)
  {snippet}
  import * as Sentry from "@sentry/browser";
  Sentry.init({{ dsn: "{dsn}" }});

Node (npm install @sentry/node)
  import * as Sentry from "@sentry/node";
  Sentry.init({{ dsn: "{dsn}" }});
  Sentry.captureException(new Error("hello from Node"));

Rust (cargo add sentry)
  let _guard = sentry::init("{dsn}");
  sentry::capture_message("hello from Rust", sentry::Level::Error);
  // _guard sends what is left when it is dropped, so keep it until main ends
"#,
            umami.url, umami.website_id, glitchtip.url, glitchtip.project
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let id = "29157fae-8731-42a4-9190-2f36354c9054".to_owned();
        Connection {
            umami: Umami::new("http://analytics.local:3001".to_owned(), id),
            glitchtip: GlitchTip {
                url: "http://errors.local:3002".to_owned(),
                project: "website".to_owned(),
                dsn: "http://a815765c3e064642a880f1a85d9b8ccb@errors.local:3002/1".to_owned(),
            },
        }
    }

    #[test]
    fn the_env_lines_are_assignments_and_nothing_else() {
        assert_eq!(
            connection().render_env(),
            "UMAMI_SCRIPT_URL=http://analytics.local:3001/script.js\n\
             UMAMI_WEBSITE_ID=29157fae-8731-42a4-9190-2f36354c9054\n\
             SENTRY_DSN=http://a815765c3e064642a880f1a85d9b8ccb@errors.local:3002/1\n"
        );
    }

    #[test]
    fn the_snippet_names_the_script_and_the_website() {
        let snippet = "<script defer src=\"http://analytics.local:3001/script.js\" \
                       data-website-id=\"29157fae-8731-42a4-9190-2f36354c9054\"></script>";
        assert_eq!(connection().umami.snippet, snippet);
        assert!(connection().render_text().contains(snippet));
    }

    #[test]
    fn every_example_is_three_lines_with_the_dsn() {
        let text = connection().render_text();
        let examples: Vec<&str> = text.split("\n\n").skip(1).collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            assert_eq!(
                example
                    .lines()
                    .filter(|line| line.starts_with("  "))
                    .count(),
                3,
                "{example}"
            );
            assert!(example.contains(&connection().glitchtip.dsn), "{example}");
        }
    }
}
