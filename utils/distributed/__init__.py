"""Several processes train one model: thin helpers over torch.distributed.

Under ``torchrun --nproc-per-node 2 train.py`` each process runs the whole script; run alone, the
same script is one process and every helper here steps aside::

    from utils.distributed.data_parallel import replicate, shard
    from utils.distributed.world import finish, start

    device = start()
    model = replicate(model)  # or shard(model)
    optimizer = torch.optim.AdamW(model.parameters())
    Trainer(model, optimizer, device=device).fit(loader, steps=1000)
    finish()

Every process walks the same loader in the same order and takes its share of each batch, so a
run of several processes makes the steps of a run of one, and a checkpoint of either goes on in
the other. Price: each process reads the whole batch before it drops the others' rows.

- `data_parallel.replicate` (DDP): all weights in every process, gradients averaged.
- `data_parallel.shard` (FSDP2): each process keeps a slice of every weight and of the
  optimizer's state.
- `tensor_parallel`: each process computes some heads and some hidden units of every layer.
- `pipeline.Pipeline`: each process computes some of the layers.
"""
