@task(require_context=True)
def my_task(ctx):
    ctx.logger.info("This is an info log")
    ctx.logger.error("This is an error log", my_keyword="hello from pymonik") #(1)!
