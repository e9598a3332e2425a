//! A worker's thread: its runtime, and how other threads reach it.

use std::{io, rc::Rc, sync::Arc, thread};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::LocalSet,
};

use super::{Command, Worker, ticker};
use crate::server::Shared;

/// How other threads reach a worker. The worker ends when its handle is dropped.
pub(crate) struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    /// Its sender lives on the worker's thread: closed when that ends, for whatever reason.
    alive: watch::Receiver<()>,
}

impl WorkerHandle {
    /// Starts worker `index`.
    pub(crate) fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let (alive_sender, alive) = watch::channel(());
        let (started, result) = std::sync::mpsc::channel();
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let _alive = alive_sender;
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                match Worker::new(index, shared) {
                    Ok(worker) => {
                        drop(started.send(Ok(())));
                        run(worker, receiver).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })?;
        result.recv().map_err(|_| io::Error::other("the worker's thread ended at once"))??;
        Ok(Self { commands, alive })
    }

    /// Tells the worker something. Without effect once it has ended.
    pub(crate) fn send(&self, command: Command) {
        drop(self.commands.send(command));
    }

    /// Completes once the worker has carried out all that it was told before.
    pub(crate) async fn caught_up(&self) {
        let (reply, done) = oneshot::channel();
        self.send(Command::CatchUp(reply));
        drop(done.await);
    }

    /// Completes when the worker has ended.
    pub(crate) async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }
}

async fn run(worker: Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut clock = tokio::task::spawn_local(ticker::run(worker.clone()));
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => worker.obey(command),
                None => return,
            },
            // Without its clock no time-out is kept: end, so that the process does.
            _ = &mut clock => return,
        }
    }
}
