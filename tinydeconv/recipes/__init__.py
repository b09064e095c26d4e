"""What `tinydeconv train` runs. A recipe is a page that has, for each of its names, its default
Settings in RECIPES, and

    build(path, settings, device)  the Training, before its first step, whose checkpoint is `path`
    train(training)                runs it; writes pictures, weights and measurements beside the
                                   checkpoint and returns what is to be printed

A field of Settings made with `option` becomes an option of the command line.
"""
