"""What the corpus is worth: a pretraining trainer that reads token shards and knows no Beam."""
