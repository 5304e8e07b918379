"""Price a choice of data: the same models trained on several corpora and scored on the same documents."""
