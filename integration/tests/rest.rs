//! The API by itself, as a program that only knows its description would use it.

use std::io::Write;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use hull_integration::Host;
use serde_json::{Value, json};

/// The refusal of a request: its status and its words.
fn refused(host: &Host, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let answer = host.rest.request(method, path, &[], body.as_bytes())?;
    Ok((answer.status, answer.error()?))
}

#[test]
fn of_pools_made_at_once_in_one_place_there_is_one() -> Result<()> {
    let host = Host::ready()?;
    let source = host.folder().join("place");
    std::fs::create_dir(&source)?;
    for _ in 0..2 {
        // In the second round nothing is left of the first one's claim to the place.
        let make = |number: usize| {
            let pool = json!({"name": format!("p{number}"), "driver": "dir", "config": {"source": source}});
            host.rest.post("/1.0/storage-pools", &pool)
        };
        let answers: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|number| scope.spawn(move || make(number))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap_or_else(|_| anyhow::bail!("a maker panicked"))).collect()
        });
        let mut made = Vec::new();
        for (number, answer) in answers.into_iter().enumerate() {
            let answer = answer?;
            if answer.status < 400 {
                made.push(number);
            } else {
                assert_eq!(answer.status, 409, "{}", answer.error()?);
                assert!(answer.error()?.contains("is used by"), "{}", answer.error()?);
            }
        }
        assert_eq!(made.len(), 1, "{made:?}");
        host.rest.delete(&format!("/1.0/storage-pools/p{}", made[0]))?.metadata()?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn an_image_that_is_not_what_it_was_said_to_be_is_not_kept() -> Result<()> {
    let host = Host::ready()?;
    let image = host.rest.get("/1.0/images?recursion=1")?.metadata()?[0].clone();
    let fingerprint = image["fingerprint"].as_str().context("an image has a fingerprint")?.to_owned();
    let exported = host.rest.get(&format!("/1.0/images/{fingerprint}/export"))?;
    host.rest.wait(&host.rest.delete(&format!("/1.0/images/{fingerprint}"))?)?;
    let send = |expected: &str| {
        let headers = [("X-LXD-fingerprint", expected), ("Content-Type", "application/octet-stream")];
        host.rest.request("POST", "/1.0/images", &headers, &exported.body)
    };
    for _ in 0..2 {
        let refused = send(&"0".repeat(64)).and_then(|answer| host.rest.wait(&answer));
        let refused = refused.expect_err("the image is another one").to_string();
        assert!(refused.contains("fingerprint doesn't match"), "{refused}");
        assert_eq!(host.rest.get("/1.0/images")?.metadata()?, json!([]));
    }
    // Nor one that breaks off.
    let mut stream = UnixStream::connect(host.socket())?;
    let head = "POST /1.0/images HTTP/1.1\r\nHost: hull\r\nContent-Type: application/octet-stream\r\nContent-Length";
    stream.write_all(format!("{head}: {}\r\n\r\n", exported.body.len()).as_bytes())?;
    stream.write_all(&exported.body[..exported.body.len() * 9 / 10])?;
    drop(stream);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(host.rest.get("/1.0/images")?.metadata()?, json!([]));
    host.rest.wait(&send(&fingerprint)?)?;
    assert_eq!(host.rest.get("/1.0/images")?.metadata()?, json!([format!("/1.0/images/{fingerprint}")]));
    host.assert_nothing_leaked()
}

#[test]
fn wrong_requests_are_refused_in_the_same_words() -> Result<()> {
    let host = Host::ready()?;
    let profiles = "/1.0/profiles";
    for (method, path, body, status, words) in [
        ("POST", "/1.0", "{}", 501, "not implemented"),
        ("DELETE", profiles, "", 501, "not implemented"),
        ("BREW", profiles, "", 404, "Method \"BREW\" not found"),
        ("GET", "/1.0/none", "", 404, "not found"),
        ("POST", profiles, "", 400, "EOF"),
        ("POST", profiles, "{", 400, "unexpected EOF"),
        ("POST", profiles, "[]", 400, "json: cannot unmarshal array into Go value of type api.ProfilesPost"),
        ("POST", profiles, "null", 400, "No name provided"),
        (
            "POST",
            profiles,
            r#"{"name": 5}"#,
            400,
            "cannot unmarshal number into Go struct field ProfilesPost.name of type string",
        ),
        ("POST", profiles, r#"{"name": "a", "config": {"user.a": 1}}"#, 400, "ProfilesPost.config of type string"),
        ("GET", "/1.0/profiles?project=none", "", 404, "Project not found"),
        ("GET", "/1.0/images?project=none", "", 404, "Project not found"),
        (
            "POST",
            "/1.0/instances?target=none",
            r#"{"source": {"type": "none"}}"#,
            400,
            "Target only allowed when clustered",
        ),
        ("POST", "/1.0/instances", r#"{"name": "c1"}"#, 400, "Unknown source type "),
        ("POST", "/1.0/instances", r#"{"source": {"type": "image", "alias": "none"}}"#, 404, "Image alias not found"),
        (
            "GET",
            "/1.0/instances?all-projects=true&project=default",
            "",
            400,
            "Cannot specify a project when requesting all projects",
        ),
        ("GET", "/1.0/virtual-machines/none", "", 404, "Instance not found"),
    ] {
        let (found, text) = refused(&host, method, path, body)?;
        assert!(found == status && text.contains(words), "{method} {path} {body}: {found} {text}");
    }
    // What follows the document is not read, and a `null` is a value that is left out.
    let answer = host.rest.request("POST", profiles, &[], br#"{"name": "p1", "config": null} and more"#)?;
    assert_eq!(answer.status, 201);
    host.rest.delete("/1.0/profiles/p1")?.metadata()?;
    assert_eq!(host.rest.get("/1.0/virtual-machines")?.metadata()?, json!([]));
    assert_eq!(host.rest.request("OPTIONS", "/1.0", &[], b"")?.status, 200);
    host.assert_nothing_leaked()
}

#[test]
fn states_are_changed_by_operations_that_say_what_is_wrong() -> Result<()> {
    let host = Host::ready()?;
    let (web, _db) = (host.running("web")?, host.stopped("db")?);
    let rest = &host.rest;
    let change = |name: &str, action: &str| -> Result<String> {
        let answer = rest.put(&format!("/1.0/instances/{name}/state"), &json!({"action": action, "force": true}))?;
        assert_eq!(answer.status, 202, "{name} {action}");
        Ok(rest.wait(&answer).err().map(|error| error.to_string()).unwrap_or_default())
    };
    for (name, action, words) in [
        ("db", "stop", "The instance is already stopped"),
        ("db", "freeze", "The container isn't running"),
        ("web", "start", "The instance is already running"),
    ] {
        let text = change(name, action)?;
        assert!(text.contains(words), "{action} {name}: {text}");
    }
    let taken = rest.post("/1.0/instances/db", &json!({"name": "web"}))?;
    assert_eq!((taken.status, taken.error()?.as_str()), (409, "Name \"web\" already in use"));
    let profile = rest.patch("/1.0/instances/db", &json!({"profiles": ["none"]}))?;
    assert_eq!((profile.status, profile.error()?.as_str()), (404, "Profile not found"));
    // A client's empty field takes nothing away.
    rest.patch("/1.0/instances/db", &json!({"config": {"user.a": "1"}}))?.metadata()?;
    rest.patch("/1.0/instances/db", &json!({"config": null, "devices": null, "profiles": null}))?.metadata()?;
    let kept = rest.get("/1.0/instances/db")?.metadata()?;
    assert_eq!((&kept["config"]["user.a"], &kept["profiles"]), (&json!("1"), &json!(["default"])));
    let unknown = rest.patch("/1.0/instances/db", &json!({"config": {"volatile.nothing": "x"}}))?;
    assert!(unknown.error()?.contains("Unknown configuration key: volatile.nothing"));

    // All of them at once: those that it concerns.
    let all = rest.put("/1.0/instances", &json!({"state": {"action": "stop", "force": true}}))?;
    rest.wait(&all)?;
    assert_eq!(web.status()?, "Stopped");
    host.assert_nothing_leaked()
}

#[test]
fn a_recorded_command_leaves_its_output() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.running("web")?;
    let command = ["sh", "-c", "echo out; echo err >&2; sleep 1000 & exit 3"];
    let post = json!({"command": command, "record-output": true});
    let ended = host.rest.wait(&host.rest.post("/1.0/instances/web/exec", &post)?)?;
    assert_eq!(ended["metadata"]["return"], 3);
    for (stream, content) in [("1", "out\n"), ("2", "err\n")] {
        let url = ended["metadata"]["output"][stream].as_str().unwrap_or_default().to_owned();
        let logs = host.rest.get("/1.0/instances/web/logs")?.metadata()?;
        assert!(logs.as_array().is_some_and(|logs| logs.contains(&Value::from(url.clone()))), "{url} in {logs}");
        assert_eq!(String::from_utf8(host.rest.get(&url)?.body)?, content);
        host.rest.delete(&url)?.metadata()?;
        assert!(host.rest.get(&url)?.status >= 400);
    }
    // The log that the client shows when a start has failed is there from the beginning.
    assert_eq!(host.rest.get("/1.0/instances/web/logs/lxc.log")?.status, 200);
    assert_eq!(host.rest.get("/1.0/instances/web/logs/other.log")?.status, 400);
    host.assert_nothing_leaked()
}
