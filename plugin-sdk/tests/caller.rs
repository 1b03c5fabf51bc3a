//! A handler hears that nobody waits for it any more, and goes on to its end if it does not care.
#![allow(clippy::unwrap_used)] // a test's helpers are test code

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hull_plugin::image::{ImageFacts, ImageQuery, ImageSinks, ImageSource, SourceImage};
use hull_plugin::testing::{self, context};
use hull_plugin::{
    Code, Context, Description, Driver, DriverError, FileFd, MemoryFd, OperationId, StreamFd, caller_left,
};

/// Writes down what became of its calls.
#[derive(Clone, Default)]
struct Slow(Rc<RefCell<Vec<&'static str>>>);

impl Driver for Slow {
    fn describe(&self) -> Description {
        Description { driver: "slow".into(), ..Description::default() }
    }
}

fn none() -> DriverError {
    DriverError::new(Code::Unsupported, "this driver is only slow")
}

impl ImageSource for Slow {
    async fn resolve(self, _: Context, query: ImageQuery) -> Result<SourceImage, DriverError> {
        match query.alias.as_str() {
            "gives-up" => tokio::select! {
                () = caller_left() => self.0.borrow_mut().push("gave up"),
                () = tokio::time::sleep(Duration::from_secs(60)) => self.0.borrow_mut().push("went on"),
            },
            _ => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.0.borrow_mut().push("finished");
            }
        }
        Err(none())
    }
    async fn list(self, _: Context, _: String) -> Result<MemoryFd, DriverError> {
        Err(none())
    }
    async fn fetch(
        self,
        _: Context,
        _: OperationId,
        _: ImageQuery,
        _: SourceImage,
        _: ImageSinks,
    ) -> Result<(), DriverError> {
        Err(none())
    }
    async fn receive(
        self,
        _: Context,
        _: OperationId,
        _: StreamFd,
        _: String,
        _: u64,
        _: ImageSinks,
    ) -> Result<(), DriverError> {
        Err(none())
    }
    async fn inspect(self, _: Context, _: FileFd, _: Option<FileFd>) -> Result<ImageFacts, DriverError> {
        Err(none())
    }
}

#[test]
fn who_goes_away_is_heard_of_and_what_is_begun_is_finished() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let slow = Slow::default();
        let became = slow.0.clone();
        let harness = testing::image(move |_| slow).unwrap();
        let query = |alias: &str| ImageQuery {
            server: String::new(),
            alias: alias.into(),
            architecture: "x86_64".into(),
            instance_type: "container".into(),
        };
        for alias in ["gives-up", "goes-on"] {
            let call = harness.driver.resolve(context(), query(alias));
            assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err(), "{alias}");
        }
        for _ in 0..500 {
            if became.borrow().len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(*became.borrow(), ["gave up", "finished"]);
    });
}
