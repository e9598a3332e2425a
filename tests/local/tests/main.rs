//! End-to-end tests of `reveille local`: real nginx, real processes, raw sockets, curl.
//!
//! | module | proves |
//! |---|---|
//! | [`harness`] | the slow server and the client do what the other tests take for granted |
//! | [`harness_protocols`] | so do the echo servers and the clients of HTTP/2, gRPC, WebSocket and TCP |
//! | [`crowd`] | a thousand requests at once cause one wake and are admitted in order |
//! | [`differential`] | the same request directly and through Reveille comes to the same |
//! | [`edge`] | no request is lost at the edge of falling asleep |
//! | [`death`] | an app that is killed at any time wakes again |
//! | [`streams`] | long bodies are never cut, and the app never sleeps under them |
//! | [`refusals`] | each request that cannot be served is refused at once, with the reason |
//! | [`drain`] | the end: by SIGTERM without loss, by SIGKILL without orphans |
//! | [`reload`] | a changed file applies without disturbing what did not change |
//! | [`bad_input`] | malformed requests never reach an app |
//! | [`gateway`] | hosts choose the app, on a port that apps share |
//! | [`grpc`] | gRPC: every kind of call, deadlines, cancellation, errors, health |
//! | [`http1`] | HTTP/1.1 as it is written, warm and held |
//! | [`http2`] | HTTP/2: floods, limits, retries, streams that do not disturb each other |
//! | [`headers`] | which fields are added, kept and removed |
//! | [`bodies`] | large bodies, chunked ones, and `Expect: 100-continue` |
//! | [`edges`] | bytes behind a body, answers before its end, clients that leave more than one request behind |
//! | [`websocket`], [`tcp`] | tunnels: held, warm, half-closed, quiet, killed, drained |
//! | [`detection`] | HTTP/1, HTTP/2, TLS and other bytes on one port |
//! | [`vanish`] | clients that disappear at any byte leave nothing behind |
//! | [`protocols`] | every protocol, held and warm |
//! | [`probes`] | probes neither wake an app nor keep it awake |
//! | [`triton`] | a real Triton and its own clients: what wakes it, what does not |
//! | [`by_hand`] | sleep and wake as asked for |
//! | [`admin_port`] | health, metrics, and whom the admin port refuses |
//! | [`api`] | the Scale API, schedules, keys, events and their commands |
//! | [`pictures`] | the Grafana dashboard and the Prometheus rules, with a real Prometheus |
//! | [`command_line`] | the commands and their exit codes |
//! | [`bad_files`] | files that are refused, with every problem named |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod admin_port;
mod api;
mod bad_files;
mod bad_input;
mod bodies;
mod by_hand;
mod command_line;
mod crowd;
mod death;
mod detection;
mod differential;
mod drain;
mod edge;
mod edges;
mod gateway;
mod grpc;
mod harness;
mod harness_protocols;
mod headers;
mod http1;
mod http2;
mod pictures;
mod probes;
mod protocols;
mod refusals;
mod reload;
mod streams;
mod support;
mod tcp;
mod triton;
mod vanish;
mod websocket;
