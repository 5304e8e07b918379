"""What a corpus is: functions over text and Arrow batches, knowing neither Beam nor torch."""
