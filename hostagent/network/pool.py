"""The pool of prepared slots. Interface first; see `hostagent.network`.

    pool = NetworkPool(config)
    for index in indices_of_recovered_sandboxes: pool.adopt(index)   # before open
    await pool.open()
    slot = await pool.take()     # store slot.index in the bundle before `crun create`
    ... "linux": {"namespaces": [{"type": "network", "path": slot.netns_path}]} ...
    await pool.give(slot)        # every process of the sandbox is dead; slot.netns_path is void afterwards
    await pool.close(everything=False)
"""
