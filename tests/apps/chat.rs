//! The chat: what one says, all hear.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use wharf::app::chat::{MESSAGE_OCTETS_MAX, MESSAGES_MAX};

use super::websockets::{closed_with, next, open};
use super::world::{World, within};

const CLIENTS: usize = 50;
const MESSAGES: usize = 20;

#[tokio::test]
async fn fifty_clients_all_see_every_message_in_one_order() {
    let world = World::with_site().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(open(&world, "/ws/chat").await);
    }
    let mut tasks = Vec::new();
    for (speaker, client) in clients.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            let (mut mouth, mut ear) = client.split();
            let speaking = async {
                for count in 0..MESSAGES {
                    let text = format!("{speaker}: message {count}");
                    mouth.send(Message::text(text)).await.unwrap();
                }
            };
            let hearing = async {
                let mut heard = Vec::new();
                while heard.len() < CLIENTS * MESSAGES {
                    heard.push(ear.next().await.unwrap().unwrap().into_text().unwrap());
                }
                heard
            };
            within(async { tokio::join!(speaking, hearing) }).await.1
        }));
    }
    let mut orders = Vec::new();
    for task in tasks {
        orders.push(task.await.unwrap());
    }
    let first = &orders[0];
    assert!(orders.iter().all(|order| order == first));
    for speaker in 0..CLIENTS {
        let prefix = format!("{speaker}: ");
        let said: Vec<_> = first.iter().filter(|text| text.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..MESSAGES).map(|n| format!("{prefix}message {n}")).collect();
        assert_eq!(said, expected.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_client_hears_nothing_from_before_it_came_and_everything_after() {
    let world = World::with_site().await;
    let mut early = open(&world, "/ws/chat").await;
    early.send(Message::text("before")).await.unwrap();
    assert_eq!(next(&mut early).await, Message::text("before"));
    let mut late = open(&world, "/ws/chat").await;
    early.send(Message::text("after")).await.unwrap();
    assert_eq!(next(&mut late).await, Message::text("after"));
    assert_eq!(next(&mut early).await, Message::text("after"));
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_out_and_the_others_talk_on() {
    let world = World::with_site().await;
    let mut stays = open(&world, "/ws/chat").await;
    let leaves = open(&world, "/ws/chat").await;
    assert_eq!(world.get("/api/stats").await.json()["chat_clients"], 2);
    drop(leaves);
    let counted = async {
        while world.get("/api/stats").await.json()["chat_clients"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(counted).await;
    stays.send(Message::text("still here")).await.unwrap();
    assert_eq!(next(&mut stays).await, Message::text("still here"));
}

#[tokio::test]
async fn a_client_that_does_not_listen_is_closed_with_1013_and_holds_up_nobody() {
    let world = World::with_site().await;
    let mut deaf = open(&world, "/ws/chat").await;
    let (mut mouth, mut ear) = open(&world, "/ws/chat").await.split();
    // What the deaf one's connection can hold, and what it may lag behind, and more.
    let texts = 2 * MESSAGES_MAX;
    let text = "x".repeat(1000);
    let speaking = async {
        for _ in 0..texts {
            mouth.send(Message::text(text.as_str())).await.unwrap();
        }
    };
    let hearing = async {
        for _ in 0..texts {
            ear.next().await.unwrap().unwrap();
        }
    };
    within(async { tokio::join!(speaking, hearing) }).await;
    assert_eq!(closed_with(&mut deaf).await, Some(CloseCode::Again));
}

#[tokio::test]
async fn binary_closes_with_1003_and_a_long_message_with_1009() {
    let world = World::with_site().await;
    for (message, code) in [
        (Message::binary(vec![7]), CloseCode::Unsupported),
        (Message::text("x".repeat(MESSAGE_OCTETS_MAX + 1)), CloseCode::Size),
    ] {
        let mut client = open(&world, "/ws/chat").await;
        client.send(message).await.unwrap();
        assert_eq!(closed_with(&mut client).await, Some(code));
    }
    let mut client = open(&world, "/ws/chat").await;
    let longest = Message::text("x".repeat(MESSAGE_OCTETS_MAX));
    client.send(longest.clone()).await.unwrap();
    assert_eq!(next(&mut client).await, longest);
}
