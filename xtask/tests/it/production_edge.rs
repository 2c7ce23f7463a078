//! What production's containers say to the outside: the edge lets nobody claim another address, and a replica is well
//! while its database is away.

use crate::faults::until;
use crate::http::agent;
use crate::lab::Lab;

#[test]
#[ignore = "starts containers"]
fn a_replica_of_glitchtip_is_well_while_the_database_is_away_that_it_had_reached() {
    let lab = Lab::new();
    let address = "DATABASE_URL=postgres://nobody:nothing@127.0.0.1:1/nothing";
    // While anybody may sign up, that page does not ask the database.
    let closed = "ENABLE_USER_REGISTRATION=False";
    let options = [
        "--init",
        "--env",
        address,
        "--env",
        closed,
        "--env",
        "PORT=8000",
    ];
    lab.start(
        "web",
        &options,
        &["analytics-standin/glitchtip:6", "./bin/start.sh"],
    );
    lab.copy("../analytics/glitchtip-service.py", "web");
    let check = |verb: &str| lab.run("web", &["python", "-IS", "/tmp/glitchtip-service.py", verb]);

    check("check-replica")
        .code(1)
        .says("/api/settings/ answers");
    lab.run("web", &["touch", "/tmp/check-was-well"]).success();
    until("GlitchTip to answer", || {
        check("check-replica").code == Some(0)
    });
    check("check-web").code(1);
}

#[test]
#[ignore = "starts containers"]
fn the_edge_passes_on_who_asks_and_nothing_that_a_visitor_claims() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_echo("glitchtip-web", "8000");
    let address = lab.start_edge("off");
    let ask = |host: &str, path: &str| {
        let mut request = agent(10)
            .get(format!("{address}{path}"))
            .header("Host", host);
        for name in [
            "X-Forwarded-For",
            "X-Real-IP",
            "CF-Connecting-IP",
            "True-Client-IP",
            "Forwarded",
            "X-Vercel-IP-Country",
        ] {
            request = request.header(name, "6.6.6.6");
        }
        let mut response = request.call().unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_string().unwrap(),
        )
    };
    let (status, seen) = ask("analytics.example.com", "/api/send");
    assert_eq!(status, 200);
    assert!(!seen.contains("6.6.6.6"), "{seen}");
    let claimed = seen
        .lines()
        .filter(|line| line.to_lowercase().starts_with("x-forwarded-for:"));
    assert_eq!(claimed.count(), 1, "{seen}");

    for path in [
        "/metrics",
        "/metrics/",
        "/%6Detrics",
        "//metrics",
        "/admin/login/",
        "/ADMIN",
    ] {
        assert_eq!(ask("errors.example.com", path).0, 404, "{path}");
    }
    assert_eq!(ask("errors.example.com", "/api/settings/").0, 200);
}

#[test]
#[ignore = "starts containers"]
fn the_edge_passes_large_envelopes_and_source_maps_and_no_more_than_an_application_takes() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_echo("glitchtip-web", "8000");
    let address = lab.start_edge("off");
    let send = |host: &str, path: &str, mebibytes: usize| {
        let request = agent(60)
            .post(format!("{address}{path}"))
            .header("Host", host);
        let sent = request.send(vec![b'x'; mebibytes << 20]);
        sent.map_or(0, |response| response.status().as_u16())
    };
    let glitchtip = "errors.example.com";
    assert_eq!(send(glitchtip, "/api/1/envelope/", 1), 200);
    // Where sentry-cli puts source maps: in chunks of 8 MiB, several in a request.
    let upload = "/api/0/organizations/example/chunk-upload/";
    assert_eq!(send(glitchtip, upload, 64), 200);
    assert_eq!(send(glitchtip, upload, 101), 413);
    assert_eq!(send("analytics.example.com", "/api/send", 5), 413);
}

#[test]
#[ignore = "starts containers"]
fn the_edge_believes_the_proxy_that_it_is_told_of_and_only_what_that_one_saw_itself() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_edge_behind("off", "127.0.0.0/8");
    // A proxy adds whom it speaks for to what the visitor has claimed.
    let seen = |address: &str| {
        let ask = [
            "wget",
            "-q",
            "-O",
            "-",
            "--header",
            "Host: analytics.example.com",
            "--header",
            "X-Forwarded-For: 6.6.6.6, 192.0.2.7",
            "--header",
            "X-Real-IP: 6.6.6.6",
            address,
        ];
        lab.run("edge", &ask).success().stdout
    };
    let behind_proxy = seen("http://127.0.0.1/api/send");
    assert!(!behind_proxy.contains("6.6.6.6"), "{behind_proxy}");
    assert!(
        behind_proxy.contains("X-Forwarded-For: 192.0.2.7\n"),
        "{behind_proxy}"
    );
    let own = lab.name_of("edge");
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = lab.docker(&["inspect", "--format", format, &own]);
    let past_it = seen(&format!("http://{address}/api/send"));
    assert!(
        past_it.contains(&format!("X-Forwarded-For: {address}\n")),
        "{past_it}"
    );
    for claimed in ["6.6.6.6", "192.0.2.7"] {
        assert!(!past_it.contains(claimed), "{past_it}");
    }
}

#[test]
#[ignore = "starts containers"]
fn the_edge_redirects_to_tls_and_asks_browsers_to_stay_there() {
    let lab = Lab::new();
    lab.start_echo("umami", "3000");
    lab.start_edge("internal");
    let ask = |address: &str| {
        let words = [
            "curl",
            "--silent",
            "--insecure",
            "--head",
            "--retry",
            "20",
            "--retry-connrefused",
            address,
        ];
        let run = lab.in_network(&words);
        run.success().stdout.to_lowercase()
    };
    let plain = ask("http://analytics.example.com/page");
    assert!(plain.contains("308 permanent redirect"), "{plain}");
    assert!(
        plain.contains("location: https://analytics.example.com/page"),
        "{plain}"
    );
    let secure = ask("https://analytics.example.com/page");
    assert!(
        secure.contains("strict-transport-security: max-age=31536000"),
        "{secure}"
    );
    // What asks a public authority cannot run here; its file is the same but for one word.
    lab.run(
        "edge",
        &[
            "env",
            "TLS=acme",
            "caddy",
            "validate",
            "--adapter",
            "caddyfile",
            "--config",
            "/etc/caddy/Caddyfile",
        ],
    )
    .success();
}
