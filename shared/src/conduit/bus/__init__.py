"""RabbitMQ: what is declared on it, and how we publish, consume and ask. Only here aio_pika."""
