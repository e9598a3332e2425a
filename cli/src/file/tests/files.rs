//! What is wrong with a file before its text is read, and addresses in use.

use std::net::TcpListener;

use super::TempDir;
use crate::file::{check_ports_free, load};

fn message(dir: &TempDir, name: &str) -> String {
    let problems = load(&dir.0.join(name)).unwrap_err();
    problems.to_string().replace(dir.0.to_str().unwrap(), "DIR")
}

#[test]
fn what_is_no_text_is_said_to_be_none() {
    let dir = TempDir::new();
    let summary = "1 problem; nothing was started";
    let missing = "DIR/missing.yaml: there is no such file; name another with -c FILE";
    assert_eq!(message(&dir, "missing.yaml"), format!("{missing}\n{summary}"));
    assert_eq!(message(&dir, ""), format!("DIR/: is a folder; name the file in it\n{summary}"));
    dir.write("reveille.yaml", "\u{feff}");
    assert_eq!(message(&dir, ""), format!("DIR/: is a folder; did you mean DIR/reveille.yaml?\n{summary}"));
    let empty = "DIR/reveille.yaml: the file is empty; write apps: and the first app below it";
    assert_eq!(message(&dir, "reveille.yaml"), format!("{empty}\n{summary}"));
    dir.write("latin1.yaml", b"apps:\n  - name: caf\xe9\n");
    let latin1 = "DIR/latin1.yaml:2:14: the byte 0xe9 is no UTF-8; save the file as UTF-8";
    assert_eq!(message(&dir, "latin1.yaml"), format!("{latin1}\n{summary}"));
    dir.write("cut.yaml", b"\xc3");
    let cut = "DIR/cut.yaml:1:1: the byte 0xc3 is no UTF-8; save the file as UTF-8";
    assert_eq!(message(&dir, "cut.yaml"), format!("{cut}\n{summary}"));
    dir.write("huge.yaml", "a".repeat((8 << 20) + 1));
    let huge = "DIR/huge.yaml: larger than 8 MiB; this is not the file you mean";
    assert_eq!(message(&dir, "huge.yaml"), format!("{huge}\n{summary}"));
}

#[test]
fn relative_paths_begin_at_the_file() {
    let dir = TempDir::new();
    let text = "apps: [{name: web, command: [sh], workingDir: www, ports: [{listen: 127.0.0.1:8081}]}]";
    dir.write("www/index.html", "");
    let config = load(&dir.write("reveille.yaml", text)).unwrap();
    assert_eq!(config.apps[0].command.working_dir, dir.0.join("www"));
    assert!(config.apps[0].command.program.is_absolute());
}

#[test]
fn an_address_in_use_is_named_with_its_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let [taken_at, free_at] = [&taken, &free].map(|listener| listener.local_addr().unwrap());
    drop(free);
    let text = format!(
        "admin: {free_at}\napps:\n  - name: web\n    command: [sh]\n    ports:\n      - listen: {taken_at}\n      - listen: 192.0.2.1:8080\n"
    );
    let config = super::parse(&text).unwrap();
    let port = taken_at.port();
    assert_eq!(
        check_ports_free(&config).unwrap_err().to_string(),
        format!(
            "reveille.yaml:6:17: apps[0].ports[0].listen: {taken_at} is in use by another process; choose another port, \
             or find it with: ss -ltnp 'sport = :{port}'\n\
             reveille.yaml:7:17: apps[0].ports[1].listen: 192.0.2.1 is no address of this machine; write 127.0.0.1, \
             or 0.0.0.0 for every interface\n\
             2 problems; nothing was started"
        )
    );
    drop(taken);
    let text = text.replace("      - listen: 192.0.2.1:8080\n", "");
    assert_eq!(check_ports_free(&super::parse(&text).unwrap()), Ok(()));
}

#[test]
fn a_port_shared_without_a_word_still_counts_as_taken() {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let text = format!("apps: [{{name: web, command: [sh], ports: [{{listen: {address}}}]}}]");
    let mut config = super::parse(&text).unwrap();
    // The default admin port may be in use on the machine that tests.
    config.binds.retain(|bind| bind.place.is_some());
    assert_eq!(check_ports_free(&config).unwrap_err().list().len(), 1);
}
