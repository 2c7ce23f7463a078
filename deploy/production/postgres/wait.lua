-- Lets a connection wait for a primary, for 25 seconds at most; without one it would be closed at once.
core.register_action("wait_for_primary", { "tcp-req" }, function(txn)
  for _ = 1, 250 do
    for _, server in pairs(core.backends["primary"].servers) do
      if string.sub(server:get_stats()["status"], 1, 2) == "UP" then
        return
      end
    end
    core.msleep(100)
  end
end)
